package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamID       = 1 // a connection carries one call
	batchSize      = 256 << 10
	receiveWindow  = 4 << 20
	frameHeadSize  = 9
	initialWindow  = 65_535 // RFC 9113, section 6.9.2
	frameSizeFloor = 16_384 // RFC 9113, section 4.2
)

// frameTransport writes HTTP/2 frames itself: the kernel gathers their payload out of the mapped
// file, so a byte is copied once, and a few hundred KiB go with each system call.
type frameTransport struct {
	connection   net.Conn
	framer       *http2.Framer // reading, and small frames
	writing      sync.Mutex
	frameSizeMax int

	windows          sync.Mutex
	changed          *sync.Cond
	connectionWindow int
	streamWindow     int
	streamInitial    int
	ended            bool
	failure          error

	body     func([]byte) error
	credit   int
	status   string
	message  string
	finished chan struct{}
}

func newFrameTransport(address string, frameSize int) (transport, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	t := &frameTransport{
		connection: connection, framer: http2.NewFramer(connection, bufio.NewReaderSize(connection, batchSize)),
		frameSizeMax: frameSizeFloor, connectionWindow: initialWindow, streamInitial: initialWindow,
		streamWindow: initialWindow, finished: make(chan struct{}),
	}
	t.changed = sync.NewCond(&t.windows)
	t.framer.SetReuseFrames()
	t.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	if err := t.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow}); err != nil {
		return nil, err
	}
	if err := t.framer.WriteWindowUpdate(0, receiveWindow); err != nil {
		return nil, err
	}
	if err := t.greet(frameSize); err != nil {
		return nil, err
	}
	return t, nil
}

// greet waits for the server's settings, so that the first byte already goes by its limits.
func (t *frameTransport) greet(frameSize int) error {
	frame, err := t.framer.ReadFrame()
	if err != nil {
		return err
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		return fmt.Errorf("the server begins with %v", frame)
	}
	if value, ok := settings.Value(http2.SettingMaxFrameSize); ok {
		t.frameSizeMax = int(value)
	}
	t.frameSizeMax = min(t.frameSizeMax, frameSize)
	if value, ok := settings.Value(http2.SettingInitialWindowSize); ok {
		t.streamInitial, t.streamWindow = int(value), int(value)
	}
	return t.framer.WriteSettingsAck()
}

func (t *frameTransport) upload(content []byte, chunkSize int) (string, error) {
	var answer bytes.Buffer
	t.body = func(data []byte) error { answer.Write(data); return nil }
	if err := t.begin(uploadMethod); err != nil {
		return "", err
	}
	if err := t.sendAll(content, chunkSize); err != nil && t.outcome() == nil {
		return "", err
	}
	<-t.finished
	if err := t.outcome(); err != nil {
		return "", err
	}
	if answer.Len() < prefixSize {
		return "", errors.New("no answer")
	}
	return stringField(answer.Bytes()[prefixSize:], 1)
}

func (t *frameTransport) download(fileID string, sink func([]byte)) error {
	reader := &chunkReader{sink: sink}
	t.body = reader.write
	if err := t.begin(downloadMethod); err != nil {
		return err
	}
	request := downloadRequest(fileID)
	if err := t.framer.WriteData(streamID, true, append(prefixed(nil, len(request)), request...)); err != nil {
		return err
	}
	<-t.finished
	return t.outcome()
}

// begin sends the call's headers and starts reading what comes back.
func (t *frameTransport) begin(method string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	err := t.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: streamID, BlockFragment: block.Bytes(), EndHeaders: true,
	})
	go t.receive()
	return err
}

func (t *frameTransport) sendAll(content []byte, chunkSize int) error {
	batch := &frameBatch{transport: t}
	if err := batch.message(prefixed(uploadMetadata(int64(len(content))), 0), nil); err != nil {
		return err
	}
	for at := 0; at < len(content); at += chunkSize {
		chunk := content[at:min(at+chunkSize, len(content))]
		if err := batch.message(prefixed(chunkHead(len(chunk)), len(chunk)), chunk); err != nil {
			return err
		}
	}
	if err := batch.flush(); err != nil {
		return err
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	return t.framer.WriteData(streamID, true, nil)
}

// frameBatch gathers frames until they are worth a system call. As in grpc-go, a message begins a
// new frame, and the frames within it are as large as allowed.
type frameBatch struct {
	transport *frameTransport
	pieces    net.Buffers
	size      int
}

func (b *frameBatch) message(head, body []byte) error {
	for len(head)+len(body) > 0 {
		wanted := min(len(head)+len(body), b.transport.frameSizeMax)
		count, err := b.allowance(wanted)
		if err != nil {
			return err
		}
		b.pieces = append(b.pieces, dataFrameHead(count))
		b.size += frameHeadSize + count
		fromHead := min(count, len(head))
		if fromHead > 0 {
			b.pieces = append(b.pieces, head[:fromHead])
			head = head[fromHead:]
		}
		if fromBody := count - fromHead; fromBody > 0 {
			b.pieces = append(b.pieces, body[:fromBody])
			body = body[fromBody:]
		}
		if b.size >= batchSize {
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// allowance takes up to `wanted` bytes from the windows; when they are empty, it sends what it
// has and waits for more.
func (b *frameBatch) allowance(wanted int) (int, error) {
	t := b.transport
	if count, err := t.take(wanted, false); count > 0 || err != nil {
		return count, err
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	return t.take(wanted, true)
}

func (b *frameBatch) flush() error {
	t := b.transport
	t.writing.Lock()
	defer t.writing.Unlock()
	pieces := b.pieces
	_, err := pieces.WriteTo(t.connection)
	b.pieces, b.size = b.pieces[:0], 0
	return err
}

func dataFrameHead(count int) []byte {
	head := make([]byte, frameHeadSize)
	binary.BigEndian.PutUint32(head, uint32(count)<<8|uint32(http2.FrameData))
	binary.BigEndian.PutUint32(head[5:], streamID)
	return head
}

func (t *frameTransport) take(wanted int, wait bool) (int, error) {
	t.windows.Lock()
	defer t.windows.Unlock()
	for {
		if t.ended {
			return 0, errors.New("the server has ended the call")
		}
		if count := min(wanted, t.connectionWindow, t.streamWindow); count > 0 {
			t.connectionWindow -= count
			t.streamWindow -= count
			return count, nil
		}
		if !wait {
			return 0, nil
		}
		t.changed.Wait()
	}
}

// receive handles what the server sends until the call has ended.
func (t *frameTransport) receive() {
	for {
		frame, err := t.framer.ReadFrame()
		if err != nil {
			t.end(err)
			return
		}
		ended, err := t.handle(frame)
		if err != nil || ended {
			t.end(err)
			return
		}
	}
}

func (t *frameTransport) handle(frame http2.Frame) (ended bool, err error) {
	switch frame := frame.(type) {
	case *http2.WindowUpdateFrame:
		t.widen(frame)
	case *http2.SettingsFrame:
		return false, t.settle(frame)
	case *http2.PingFrame:
		if !frame.IsAck() {
			t.writing.Lock()
			defer t.writing.Unlock()
			return false, t.framer.WritePing(true, frame.Data)
		}
	case *http2.DataFrame:
		if err := t.acknowledge(int(frame.Length)); err != nil {
			return true, err
		}
		return frame.StreamEnded(), t.body(frame.Data())
	case *http2.MetaHeadersFrame:
		for _, field := range frame.Fields {
			switch field.Name {
			case "grpc-status":
				t.status = field.Value
			case "grpc-message":
				t.message = field.Value
			}
		}
		return frame.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		return true, fmt.Errorf("reset: %v", frame.ErrCode)
	case *http2.GoAwayFrame:
		return true, fmt.Errorf("go away: %v", frame.ErrCode)
	}
	return false, nil
}

func (t *frameTransport) widen(frame *http2.WindowUpdateFrame) {
	t.windows.Lock()
	defer t.windows.Unlock()
	if frame.StreamID == 0 {
		t.connectionWindow += int(frame.Increment)
	} else {
		t.streamWindow += int(frame.Increment)
	}
	t.changed.Signal()
}

// settle follows a change of the initial window, which moves the open stream's as well.
func (t *frameTransport) settle(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	if value, ok := frame.Value(http2.SettingInitialWindowSize); ok {
		t.windows.Lock()
		t.streamWindow += int(value) - t.streamInitial
		t.streamInitial = int(value)
		t.windows.Unlock()
		t.changed.Signal()
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	return t.framer.WriteSettingsAck()
}

// acknowledge opens the receiving windows again once a good part of them is used.
func (t *frameTransport) acknowledge(count int) error {
	t.credit += count
	if t.credit < receiveWindow/4 {
		return nil
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.framer.WriteWindowUpdate(0, uint32(t.credit)); err != nil {
		return err
	}
	if err := t.framer.WriteWindowUpdate(streamID, uint32(t.credit)); err != nil {
		return err
	}
	t.credit = 0
	return nil
}

func (t *frameTransport) end(err error) {
	t.windows.Lock()
	t.ended, t.failure = true, err
	t.windows.Unlock()
	t.changed.Signal()
	close(t.finished)
}

// outcome is the call's failure, or nil while it runs and after a success.
func (t *frameTransport) outcome() error {
	t.windows.Lock()
	defer t.windows.Unlock()
	switch {
	case !t.ended:
		return nil
	case t.failure != nil:
		return t.failure
	case t.status != "0":
		return fmt.Errorf("grpc-status %s: %s", t.status, t.message)
	}
	return nil
}
