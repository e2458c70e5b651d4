// The load generator for gRPC: one upload or one download, made as cheaply as possible.
//
// It connects, prints "ready", waits for a line on its standard input, moves the bytes and
// prints one JSON object saying what that took.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"syscall"
	"time"
)

// A transport moves one file over one connection that is open already.
type transport interface {
	upload(content []byte, chunkSize int) (fileID string, err error)
	download(fileID string, sink func([]byte)) error
}

type outcome struct {
	Bytes      int64   `json:"bytes"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	FileID     string  `json:"file_id"`
}

type options struct {
	address   string
	transport string
	source    string
	fileID    string
	output    string
	size      int64
	chunkSize int
	frameSize int
}

func main() {
	var o options
	flag.StringVar(&o.address, "server", "127.0.0.1:50051", "host and port")
	flag.StringVar(&o.transport, "transport", "frames", "frames (written here) or grpc-go (the library)")
	flag.StringVar(&o.source, "source", "", "the file whose bytes are sent; without it, a download")
	flag.Int64Var(&o.size, "size", 0, "bytes to send from the start of the source")
	flag.IntVar(&o.chunkSize, "chunk-size", 64<<10, "bytes of one message's chunk")
	flag.IntVar(&o.frameSize, "frame-size", 16<<10, "largest DATA frame sent, if the server allows it (frames only)")
	flag.StringVar(&o.fileID, "file-id", "", "the file to download")
	flag.StringVar(&o.output, "output", "", "write the download here; without it, drop it")
	flag.Parse()
	runtime.GOMAXPROCS(1) // one client, one core: what it spares, the server has

	result, err := run(o)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func run(o options) (outcome, error) {
	content, err := mapped(o.source, o.size)
	if err != nil {
		return outcome{}, err
	}
	connection, err := connected(o)
	if err != nil {
		return outcome{}, err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return outcome{}, err
	}
	cpuBefore, start := cpuSeconds(), time.Now()
	result := outcome{FileID: o.fileID}
	if o.source != "" {
		result.FileID, err = connection.upload(content, o.chunkSize)
		result.Bytes = int64(len(content))
	} else {
		result.Bytes, err = downloaded(connection, o)
	}
	result.Seconds = time.Since(start).Seconds()
	result.CPUSeconds = cpuSeconds() - cpuBefore
	return result, err
}

func connected(o options) (transport, error) {
	if o.transport == "grpc-go" {
		return newLibraryTransport(o.address)
	}
	return newFrameTransport(o.address, o.frameSize)
}

func downloaded(connection transport, o options) (size int64, err error) {
	sink := func(chunk []byte) { size += int64(len(chunk)) }
	if o.output == "" {
		return size, connection.download(o.fileID, sink)
	}
	file, err := os.Create(o.output)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var writeError error
	err = connection.download(o.fileID, func(chunk []byte) {
		sink(chunk)
		if _, err := file.Write(chunk); err != nil {
			writeError = err
		}
	})
	if err == nil {
		err = writeError
	}
	return size, err
}

// mapped gives the file's first bytes without reading them into memory of our own.
func mapped(path string, size int64) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
