package bench;

import bench.v1.BenchGrpc;
import bench.v1.BenchGrpc.BenchImplBase;
import bench.v1.BenchGrpc.BenchStub;
import bench.v1.BenchOuterClass.CreateItemRequest;
import bench.v1.BenchOuterClass.GetBlobRequest;
import bench.v1.BenchOuterClass.GetItemRequest;
import bench.v1.BenchOuterClass.Item;
import bench.v1.BenchOuterClass.ListItemsRequest;
import bench.v1.BenchOuterClass.ListItemsResponse;
import bench.v1.BenchOuterClass.PutBlobRequest;
import bench.v1.BenchOuterClass.PutBlobResponse;
import bench.v1.BenchOuterClass.UpdateItemRequest;
import com.google.api.HttpBody;
import com.linecorp.armeria.client.ClientFactory;
import com.linecorp.armeria.client.grpc.GrpcClients;
import com.linecorp.armeria.common.grpc.GrpcJsonMarshaller;
import com.linecorp.armeria.common.util.EventLoopGroups;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.grpc.GrpcService;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import java.io.File;
import java.net.InetSocketAddress;

/**
 * Armeria's JSON transcoding before a back end in another process, on one core: each method of the
 * service calls the same method of the back end.
 */
public final class Gateway extends BenchImplBase {
  private final BenchStub backend;

  private Gateway(BenchStub backend) {
    this.backend = backend;
  }

  @Override
  public void getItem(GetItemRequest request, StreamObserver<Item> reply) {
    backend.getItem(request, reply);
  }

  @Override
  public void createItem(CreateItemRequest request, StreamObserver<Item> reply) {
    backend.createItem(request, reply);
  }

  @Override
  public void updateItem(UpdateItemRequest request, StreamObserver<Item> reply) {
    backend.updateItem(request, reply);
  }

  @Override
  public void listItems(ListItemsRequest request, StreamObserver<ListItemsResponse> reply) {
    backend.listItems(request, reply);
  }

  @Override
  public void getBlob(GetBlobRequest request, StreamObserver<HttpBody> reply) {
    backend.getBlob(request, reply);
  }

  @Override
  public void putBlob(PutBlobRequest request, StreamObserver<PutBlobResponse> reply) {
    backend.putBlob(request, reply);
  }

  /** Serves until the process ends: HOST PORT BACKEND [CERTIFICATE KEY]. */
  public static void main(String[] arguments) {
    var address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
    // One thread for both sides, so that a call does not change threads.
    EventLoopGroup loop = EventLoopGroups.newEventLoopGroup(1);
    BenchStub backend =
        GrpcClients.builder("gproto+http://" + arguments[2])
            .factory(ClientFactory.builder().workerGroup(loop, false).build())
            .build(BenchStub.class);
    var service =
        GrpcService.builder()
            .addService(new Gateway(backend))
            .enableHttpJsonTranscoding(true)
            .jsonMarshallerFactory(
                descriptor ->
                    GrpcJsonMarshaller.builder()
                        .jsonMarshallerCustomizer(json -> json.includingDefaultValueFields(true))
                        .build(descriptor))
            .build();
    var server = Server.builder().workerGroup(loop, false).service(service);
    if (arguments.length > 3) {
      server.https(address).tls(new File(arguments[3]), new File(arguments[4]));
    } else {
      server.http(address);
    }
    server.build().start().join();
  }
}
