package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// encodedMessages lets grpc-go send and receive messages that are encoded already.
type encodedMessages struct{}

func (encodedMessages) Marshal(v any) (mem.BufferSlice, error) {
	pieces, ok := v.([][]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	slice := make(mem.BufferSlice, 0, len(pieces))
	for _, piece := range pieces {
		slice = append(slice, mem.SliceBuffer(piece))
	}
	return slice, nil
}

func (encodedMessages) Unmarshal(data mem.BufferSlice, v any) error {
	take, ok := v.(func(mem.BufferSlice) error)
	if !ok {
		return fmt.Errorf("cannot receive a %T", v)
	}
	return take(data)
}

// Name is that of the usual codec, which makes the content type the usual one.
func (encodedMessages) Name() string { return "proto" }

var _ encoding.CodecV2 = encodedMessages{}

type libraryTransport struct{ connection *grpc.ClientConn }

func newLibraryTransport(address string) (transport, error) {
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(encodedMessages{})))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection.Connect()
	for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
		if !connection.WaitForStateChange(ctx, state) {
			return nil, fmt.Errorf("no connection to %s", address)
		}
	}
	return &libraryTransport{connection}, nil
}

func (t *libraryTransport) upload(content []byte, chunkSize int) (string, error) {
	stream, err := t.connection.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true}, uploadMethod)
	if err != nil {
		return "", err
	}
	err = stream.SendMsg([][]byte{uploadMetadata(int64(len(content)))})
	for at := 0; at < len(content) && err == nil; at += chunkSize {
		chunk := content[at:min(at+chunkSize, len(content))]
		err = stream.SendMsg([][]byte{chunkHead(len(chunk)), chunk})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the server has ended the call and says why below
		return "", err
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	var fileID string
	err = stream.RecvMsg(func(data mem.BufferSlice) (err error) {
		fileID, err = stringField(data.Materialize(), 1)
		return err
	})
	return fileID, err
}

func (t *libraryTransport) download(fileID string, sink func([]byte)) error {
	stream, err := t.connection.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, downloadMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg([][]byte{downloadRequest(fileID)}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	reader := &chunkReader{sink: sink}
	take := func(data mem.BufferSlice) error {
		if err := reader.write(prefixed(nil, data.Len())); err != nil {
			return err
		}
		for _, piece := range data {
			if err := reader.write(piece.ReadOnlyData()); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		err := stream.RecvMsg(take)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
