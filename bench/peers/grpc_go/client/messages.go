package main

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	uploadMethod   = "/fileservice.v1.FileService/UploadFile"
	downloadMethod = "/fileservice.v1.FileService/DownloadFile"
	prefixSize     = 5 // gRPC: a flag and the message's length
)

// uploadMetadata is UploadFileRequest{metadata}, encoded.
func uploadMetadata(size int64) []byte {
	var metadata []byte
	metadata = protowire.AppendTag(metadata, 1, protowire.BytesType)
	metadata = protowire.AppendString(metadata, "random.bin")
	metadata = protowire.AppendTag(metadata, 2, protowire.BytesType)
	metadata = protowire.AppendString(metadata, "application/octet-stream")
	metadata = protowire.AppendTag(metadata, 3, protowire.VarintType)
	metadata = protowire.AppendVarint(metadata, uint64(size))
	metadata = protowire.AppendTag(metadata, 4, protowire.BytesType)
	metadata = protowire.AppendString(metadata, "bench")
	request := protowire.AppendTag(nil, 1, protowire.BytesType)
	return protowire.AppendBytes(request, metadata)
}

// chunkHead is what stands before the bytes in an encoded UploadFileRequest{chunk}.
func chunkHead(size int) []byte {
	head := protowire.AppendTag(nil, 2, protowire.BytesType)
	return protowire.AppendVarint(head, uint64(size))
}

func downloadRequest(fileID string) []byte {
	request := protowire.AppendTag(nil, 1, protowire.BytesType)
	return protowire.AppendString(request, fileID)
}

// prefixed puts gRPC's length before the head of a message whose body follows elsewhere.
func prefixed(head []byte, bodySize int) []byte {
	message := make([]byte, prefixSize, prefixSize+len(head))
	binary.BigEndian.PutUint32(message[1:], uint32(len(head)+bodySize))
	return append(message, head...)
}

// stringField finds a text field of the message's top level.
func stringField(message []byte, wanted protowire.Number) (string, error) {
	for len(message) > 0 {
		number, kind, count := protowire.ConsumeTag(message)
		if count < 0 {
			return "", protowire.ParseError(count)
		}
		message = message[count:]
		if number == wanted && kind == protowire.BytesType {
			text, count := protowire.ConsumeString(message)
			return text, protowire.ParseError(count)
		}
		count = protowire.ConsumeFieldValue(number, kind, message)
		if count < 0 {
			return "", protowire.ParseError(count)
		}
		message = message[count:]
	}
	return "", errors.New("the answer names no file")
}

// chunkReader takes the bytes of DownloadFileResponse messages in pieces of any size and hands on
// what is in their chunks. It relies on a message holding one field, as a oneof does.
type chunkReader struct {
	sink func([]byte)
	head []byte // what has come of the present message's prefix, tag and length
	left int    // bytes of the present field still to come
	keep bool   // whether they are a chunk's
}

func (r *chunkReader) write(data []byte) error {
	for len(data) > 0 {
		if r.left > 0 {
			count := min(r.left, len(data))
			if r.keep {
				r.sink(data[:count])
			}
			r.left -= count
			data = data[count:]
			continue
		}
		r.head = append(r.head, data[0])
		data = data[1:]
		if err := r.open(); err != nil {
			return err
		}
	}
	return nil
}

// open starts the field as soon as its tag and length are complete.
func (r *chunkReader) open() error {
	if len(r.head) < prefixSize {
		return nil
	}
	if binary.BigEndian.Uint32(r.head[1:]) == 0 {
		r.head = r.head[:0]
		return nil
	}
	if len(r.head) < prefixSize+2 || r.head[len(r.head)-1] >= 0x80 {
		return nil
	}
	number, kind, count := protowire.ConsumeTag(r.head[prefixSize:])
	if count < 0 || kind != protowire.BytesType {
		return errors.New("unexpected message in a download")
	}
	size, count := protowire.ConsumeVarint(r.head[prefixSize+count:])
	if count < 0 {
		return protowire.ParseError(count)
	}
	r.left, r.keep, r.head = int(size), number == 2, r.head[:0]
	return nil
}
