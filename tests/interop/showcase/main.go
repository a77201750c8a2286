// Google's showcase server and its generated REST client, both untouched, with a gateway between.
//
// Usage: showcase FOLDER. It writes the descriptors of the services to FOLDER/showcase.binpb,
// serves them by gRPC on loopback, and prints the port. Then it reads the address of a gateway,
// makes each call of the REST client through it, and prints a line for each: its name, a tab, and
// `ok` or the error.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/googleapis/gapic-showcase/server"
	"github.com/googleapis/gapic-showcase/server/genproto"
	"github.com/googleapis/gapic-showcase/server/services"
	"google.golang.org/genproto/googleapis/cloud/location"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	// The services print what they receive to os.Stdout.
	output := os.Stdout
	os.Stdout = os.Stderr
	backend := newBackend()
	if err := describe(backend, filepath.Join(os.Args[1], "showcase.binpb")); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(backend.Serve(listener)) }()
	fmt.Fprintln(output, listener.Addr().(*net.TCPAddr).Port)
	address, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	if err := makeCalls(strings.TrimSpace(address), output); err != nil {
		log.Fatal(err)
	}
}

// newBackend returns a gRPC server with all services of showcase. Its observers are not
// interceptors here: they hold a lock during each call, which the creation of a session needs too.
func newBackend() *grpc.Server {
	registry := server.ShowcaseObserverRegistry()
	backend := grpc.NewServer()
	identity := services.NewIdentityServer()
	messaging := services.NewMessagingServer(identity)
	genproto.RegisterEchoServer(backend, services.NewEchoServer())
	genproto.RegisterSequenceServiceServer(backend, services.NewSequenceServer())
	genproto.RegisterIdentityServer(backend, identity)
	genproto.RegisterMessagingServer(backend, messaging)
	genproto.RegisterComplianceServer(backend, services.NewComplianceServer())
	genproto.RegisterTestingServer(backend, services.NewTestingServer(registry))
	genproto.RegisterResumableUploadServiceServer(backend, services.NewResumableUploadServer())
	longrunningpb.RegisterOperationsServer(backend, services.NewOperationsServer(messaging))
	location.RegisterLocationsServer(backend, services.NewLocationsServer())
	iampb.RegisterIAMPolicyServer(backend, services.NewIAMPolicyServer())
	return backend
}

// describe writes the descriptors of the services of backend, with all files that they need.
func describe(backend *grpc.Server, path string) error {
	set := &descriptorpb.FileDescriptorSet{}
	known := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if known[file.Path()] {
			return
		}
		known[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	for name := range backend.GetServiceInfo() {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return err
		}
		add(found.ParentFile())
	}
	bytes, err := proto.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes, 0o600)
}
