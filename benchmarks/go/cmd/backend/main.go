// The back end that every gateway under test calls: canned replies, made once.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "example.com/bench/v1"
)

type server struct {
	pb.UnimplementedBenchServer
	item  *pb.Item
	lists map[int32]*pb.ListItemsResponse
}

func (s *server) GetItem(context.Context, *pb.GetItemRequest) (*pb.Item, error) {
	return s.item, nil
}

func (s *server) CreateItem(context.Context, *pb.CreateItemRequest) (*pb.Item, error) {
	return s.item, nil
}

func (s *server) ListItems(_ context.Context, r *pb.ListItemsRequest) (*pb.ListItemsResponse, error) {
	return s.lists[r.Count], nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	flag.Parse()
	item := &pb.Item{
		Name: "shelves/7/items/42", Title: "A brass sextant", Serial: 9007199254740993, Weight: 1.25,
		Tags: []string{"brass", "naval"}, Labels: map[string]string{"room": "north"},
		Created: &timestamppb.Timestamp{Seconds: 1714979289}, State: pb.State_ACTIVE,
		Size: &pb.Item_Size{Width: 30, Height: 40}, Fragile: true, Digest: []byte{0xde, 0xad, 0xbe, 0xef},
	}
	lists := map[int32]*pb.ListItemsResponse{}
	for _, n := range []int32{1, 100, 10000} {
		l := &pb.ListItemsResponse{}
		for i := int32(0); i < n; i++ {
			l.Items = append(l.Items, item)
		}
		lists[n] = l
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterBenchServer(s, &server{item: item, lists: lists})
	log.Fatal(s.Serve(l))
}
