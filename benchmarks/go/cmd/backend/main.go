// The back end of all gateways under test: canned replies, each made once.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "example.com/bench/v1"
)

// Messages of up to 50 MB are measured; in JSON they are larger.
const largestMessage = 128 << 20

// The size of the pieces of a streamed blob.
const pieceBytes = 64 << 10

var piece = make([]byte, pieceBytes)

type server struct {
	pb.UnimplementedBenchServer
	delay   time.Duration // of each GetItem
	item    *pb.Item
	missing error    // NOT_FOUND with details
	lists   sync.Map // of *pb.ListItemsResponse by count
	blobs   sync.Map // of *httpbody.HttpBody by size
}

func (s *server) GetItem(_ context.Context, r *pb.GetItemRequest) (*pb.Item, error) {
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	if strings.HasPrefix(r.Item, "missing-") {
		return nil, s.missing
	}
	return s.item, nil
}

func (s *server) UpdateItem(context.Context, *pb.UpdateItemRequest) (*pb.Item, error) {
	return s.item, nil
}

func (s *server) CreateItem(context.Context, *pb.CreateItemRequest) (*pb.Item, error) {
	return s.item, nil
}

func (s *server) ListItems(_ context.Context, r *pb.ListItemsRequest) (*pb.ListItemsResponse, error) {
	if made, ok := s.lists.Load(r.Count); ok {
		return made.(*pb.ListItemsResponse), nil
	}
	list := &pb.ListItemsResponse{}
	for range r.Count {
		list.Items = append(list.Items, s.item)
	}
	s.lists.Store(r.Count, list)
	return list, nil
}

func (s *server) WatchItems(r *pb.WatchItemsRequest, stream grpc.ServerStreamingServer[pb.Item]) error {
	for range r.Count {
		if err := stream.Send(s.item); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) GetBlob(_ context.Context, r *pb.GetBlobRequest) (*httpbody.HttpBody, error) {
	if made, ok := s.blobs.Load(r.Size); ok {
		return made.(*httpbody.HttpBody), nil
	}
	blob := &httpbody.HttpBody{ContentType: "image/png", Data: make([]byte, r.Size)}
	s.blobs.Store(r.Size, blob)
	return blob, nil
}

func (s *server) PutBlob(_ context.Context, r *pb.PutBlobRequest) (*pb.PutBlobResponse, error) {
	return &pb.PutBlobResponse{Size: int64(len(r.Content.GetData()))}, nil
}

func (s *server) DownloadBlob(r *pb.GetBlobRequest, stream grpc.ServerStreamingServer[httpbody.HttpBody]) error {
	for left := int(r.Size); left > 0; left -= pieceBytes {
		if err := stream.Send(&httpbody.HttpBody{ContentType: "image/png", Data: piece[:min(left, pieceBytes)]}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) UploadBlob(stream grpc.ClientStreamingServer[httpbody.HttpBody, pb.PutBlobResponse]) error {
	size := 0
	for {
		part, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&pb.PutBlobResponse{Size: int64(size)})
		}
		if err != nil {
			return err
		}
		size += len(part.Data)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	delay := flag.Duration("delay", 0, "of each GetItem")
	flag.Parse()
	item := &pb.Item{
		Name: "shelves/7/items/42", Title: "A brass sextant", Serial: 9007199254740993, Weight: 1.25,
		Tags: []string{"brass", "naval"}, Labels: map[string]string{"room": "north"},
		Created: &timestamppb.Timestamp{Seconds: 1714979289}, State: pb.State_ACTIVE,
		Size: &pb.Item_Size{Width: 30, Height: 40}, Fragile: true, Digest: []byte{0xde, 0xad, 0xbe, 0xef},
	}
	missing, err := status.New(codes.NotFound, "there is no such item").WithDetails(
		&errdetails.ErrorInfo{Reason: "NO_SUCH_ITEM", Domain: "bench.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(largestMessage))
	pb.RegisterBenchServer(s, &server{delay: *delay, item: item, missing: missing.Err()})
	log.Fatal(s.Serve(l))
}
