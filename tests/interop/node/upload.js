// Drives tus-js-client through one job, given as JSON in the first argument, and prints what happens:
// one JSON object a line, the last of them with the event "success", "aborted", "terminated" or "error".
//
//   url             an upload to terminate; all other jobs upload
//   endpoint, file  where to; a path, or null for the standard input
//   storage         the file in which upload URLs are remembered over processes
//   abortAt         abort when so many bytes have been sent; terminateOnAbort deletes the upload as well
//   pauseMs         rest before every 64 KiB of a file, so that a fast server does not end the job early
//   options         anything that tus.Upload takes

import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import * as tus from 'tus-js-client'

const job = JSON.parse(process.argv[2])

function say(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

function sayResponse(request, response) {
  say('response', {
    method: request.getMethod(),
    url: request.getURL(),
    status: response.getStatus(),
    offset: response.getHeader('Upload-Offset') ?? null,
  })
}

function sayError(error) {
  const response = error.originalResponse
  say('error', { message: String(error.message), status: response ? response.getStatus() : null })
}

// A reader of files whose slices come slowly: 64 KiB, a rest, 64 KiB, a rest. For an upload in parallel parts a file is
// opened first to be parted; a part has to stay what it is, to be opened as a file itself.
let partings = (job.options?.parallelUploads ?? 1) > 1 ? 1 : 0
const slowReader = {
  async openFile(input, chunkSize) {
    const source = await tus.defaultOptions.fileReader.openFile(input, chunkSize)
    if (partings-- > 0) return source
    const slice = source.slice.bind(source)
    source.slice = async (start, end) => {
      const { value, done } = await slice(start, end)
      const slow = Readable.from(rested(value))
      slow.size = value.size
      return { value: slow, done }
    }
    return source
  },
}

async function* rested(pieces) {
  for await (const piece of pieces) {
    await sleep(job.pauseMs)
    yield piece
  }
}

function jobOptions(finish) {
  const options = { retryDelays: null, endpoint: job.endpoint, onAfterResponse: sayResponse, ...job.options }
  if (job.storage) options.urlStorage = new tus.FileUrlStorage(job.storage)
  if (job.pauseMs) options.fileReader = slowReader
  options.onError = (error) => {
    sayError(error)
    finish()
  }
  return options
}

async function upload() {
  const input = job.file === null ? process.stdin : createReadStream(job.file)
  await new Promise((finish) => {
    let aborting = false
    const running = new tus.Upload(input, {
      ...jobOptions(finish),
      onSuccess() {
        say('success', { url: running.url })
        finish()
      },
      onProgress(sent) {
        say('progress', { sent })
        if (aborting || job.abortAt === undefined || sent < job.abortAt) return
        aborting = true
        running.abort(Boolean(job.terminateOnAbort)).then(
          () => {
            say('aborted', { url: running.url })
            finish()
          },
          (error) => {
            sayError(error)
            finish()
          },
        )
      },
    })
    running.findPreviousUploads().then((previous) => {
      if (previous.length > 0) running.resumeFromPreviousUpload(previous[0])
      running.start()
    })
  })
}

async function terminate() {
  try {
    await tus.Upload.terminate(job.url, jobOptions(() => {}))
    say('terminated', { url: job.url })
  } catch (error) {
    sayError(error)
  }
}

await (job.url ? terminate() : upload())
process.exit()
