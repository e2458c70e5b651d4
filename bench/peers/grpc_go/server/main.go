// A file service as one writes it with grpc-go: generated code, default options, each chunk
// written to the file as it comes. The benchmark holds UploadStream's gRPC side against it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "uploadstream.example/bench/peers/grpc_go/fileservice"
)

const downloadChunkSize = 64 << 10

type service struct {
	pb.UnimplementedFileServiceServer
	dir    string
	fsync  bool
	number atomic.Int64
}

func (s *service) UploadFile(stream grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	metadata := first.GetMetadata()
	if metadata == nil {
		return status.Error(codes.InvalidArgument, "First message must be metadata")
	}
	id := fmt.Sprintf("%d", s.number.Add(1))
	file, err := os.Create(filepath.Join(s.dir, id))
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := s.receive(stream, file)
	if err != nil {
		return err
	}
	if size != metadata.Size {
		return status.Errorf(codes.InvalidArgument, "Received %d bytes, declared %d", size, metadata.Size)
	}
	return stream.SendAndClose(&pb.UploadFileResponse{
		FileId: id, Filename: metadata.Filename, Size: size, ContentType: metadata.ContentType,
	})
}

func (s *service) receive(stream grpc.ClientStreamingServer[pb.UploadFileRequest, pb.UploadFileResponse], file *os.File) (int64, error) {
	var size int64
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return size, err
		}
		count, err := file.Write(request.GetChunk())
		if err != nil {
			return size, err
		}
		size += int64(count)
	}
	if s.fsync {
		return size, file.Sync()
	}
	return size, nil
}

func (s *service) DownloadFile(request *pb.DownloadFileRequest, stream grpc.ServerStreamingServer[pb.DownloadFileResponse]) error {
	file, err := os.Open(filepath.Join(s.dir, filepath.Base(request.FileId)))
	if err != nil {
		return status.Errorf(codes.NotFound, "No file %s", request.FileId)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	info := &pb.FileInfo{FileId: request.FileId, Size: stat.Size()}
	if err := stream.Send(&pb.DownloadFileResponse{Data: &pb.DownloadFileResponse_Info{Info: info}}); err != nil {
		return err
	}
	buffer := make([]byte, downloadChunkSize)
	for {
		count, err := file.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		chunk := &pb.DownloadFileResponse_Chunk{Chunk: buffer[:count]}
		if err := stream.Send(&pb.DownloadFileResponse{Data: chunk}); err != nil {
			return err
		}
	}
}

func main() {
	address := flag.String("listen", "127.0.0.1:50051", "host and port")
	dir := flag.String("dir", ".", "where files go")
	fsync := flag.Bool("fsync", false, "sync a file before its upload is answered")
	flag.Parse()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterFileServiceServer(server, &service{dir: *dir, fsync: *fsync})
	log.Fatal(server.Serve(listener))
}
