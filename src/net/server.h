// Accepts connections and serves gRPC, HTTP/2 and HTTP/1.1 on them. Knows no etcd and no protobuf.
// Everything of a server and its connections lives on its loop's thread. Several servers, one per loop, may
// share a listener: see DealTo.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/grpc.h"
#include "net/http.h"
#include "net/loop.h"

namespace quorate::net {

struct ServerOptions {
  // The largest request message, after decompression (etcd: max-request-bytes + 512 KiB).
  size_t message_bytes_max = 1536 * 1024 + 512 * 1024;
  // SETTINGS_MAX_CONCURRENT_STREAMS; kStreamsHardMax holds in any case.
  uint32_t max_concurrent_streams = UINT32_MAX;
  // --grpc-keepalive-min-time, -interval, -timeout. Zero switches the check or the pings off.
  std::chrono::nanoseconds keepalive_min_time = std::chrono::seconds(5);
  std::chrono::nanoseconds keepalive_interval = std::chrono::hours(2);
  std::chrono::nanoseconds keepalive_timeout = std::chrono::seconds(20);
  // Pings without an open stream are abuse, too (grpc-go's PermitWithoutStream=false; such pings may come
  // every 2 h).
  bool keepalive_permit_without_stream = false;
  // From accept to the first byte.
  std::chrono::nanoseconds first_byte_timeout = std::chrono::seconds(10);
  // From a request's first byte to its last (HTTP/1.1), or to the end of the preface (HTTP/2).
  std::chrono::nanoseconds header_timeout = std::chrono::minutes(5);
  size_t header_bytes_max = 1024 * 1024;
  // Request body of plain HTTP requests; above it: 413.
  size_t http_body_bytes_max = 4 * 1024 * 1024;
  // A plain HTTP request that was answered before its body's end is reset after this much more (HTTP/2).
  std::chrono::nanoseconds early_end_grace = std::chrono::seconds(30);
  // A connection with more output queued is not read while its socket takes nothing, and its calls are
  // refused with RESOURCE_EXHAUSTED while the client's windows are what it waits for. One answer may go
  // beyond it.
  size_t output_bytes_max = 64 * 1024 * 1024;
  // Headers and partly received messages of one connection; streams above it are refused. At least four
  // messages of message_bytes_max fit, whatever this says.
  size_t request_bytes_max = 64 * 1024 * 1024;
  // The same two for all connections together. Beyond them only those are refused that hold more than their
  // share (the limit divided by the connections), so that a few can't take it all from the others.
  size_t output_bytes_in_all_max = 512 * 1024 * 1024;
  size_t request_bytes_in_all_max = 256 * 1024 * 1024;
  // Open streams of all connections, at about 1 KiB each; shared out likewise.
  size_t streams_in_all_max = 200'000;
  // Above it the connection makes room that has been idle longest without a call; if there is none, new ones
  // are closed at once. An idle one costs about 14 KiB. 0: a fifth of the files that the process may open,
  // less some for itself.
  size_t connections_max = 0;
};

struct TlsListening;  // tls_door.h

struct ListenOptions {
  bool reuse_address = true;
  bool reuse_port = false;
  std::shared_ptr<const TlsListening> tls = nullptr;  // Null: clear text.
};

// Since the server's start; read on the loop's thread.
struct ServerStats {
  uint64_t connections_open = 0;
  uint64_t connections_accepted = 0;
  // Message bytes as etcd counts them (etcd_network_client_grpc_{received,sent}_bytes_total): without
  // framing.
  uint64_t grpc_received_bytes = 0;
  uint64_t grpc_sent_bytes = 0;
  uint64_t streams_open = 0;
  // What clients make us hold now: headers and partly received messages; answers they have not read.
  uint64_t request_bytes_held = 0;
  uint64_t output_bytes_held = 0;
};

class ServerImpl;

class Server {
 public:
  Server(Loop* loop, const ServerOptions& options);
  // On the loop's thread, or after Run() returned. Closes all connections; running calls are cancelled.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Paths are "/package.Service/Method". `method_index` comes back in CallHandle::method_index(). Register
  // before Listen.
  void RegisterUnary(std::string_view path, UnaryHandler handler, uint32_t method_index = 0);
  void RegisterStreaming(std::string_view path, StreamFactory factory, uint32_t method_index = 0);
  // Without one, plain HTTP requests get 404.
  void SetHttpHandler(HttpHandler handler);
  // For requests whose bodies should not be collected in memory.
  void SetHttpBodyHandler(HttpBodyHandler handler);

  // `host` is a numeric address or a name ("localhost"), empty for all addresses; port 0 chooses one. Returns
  // the port in use. May be called several times. A name is resolved blocking, so listen before Run() or with
  // numbers.
  StatusOr<uint16_t> Listen(const std::string& host, uint16_t port, const ListenOptions& options = {});
  // Replaces a socket file that is left over.
  Status ListenUnix(const std::string& path, const ListenOptions& options = {});
  void StopListening();

  // Connections accepted here go in turn to these servers (this one may be among them), each on its own loop.
  // They must outlive this server's listening.
  void DealTo(const std::vector<Server*>& servers);

  // Stops listening, tells all clients to go elsewhere (GOAWAY; Connection: close), lets running calls end,
  // closes what is left after `grace`, then calls `done` once.
  void Drain(std::chrono::nanoseconds grace, std::function<void()> done);

  const ServerStats& stats() const;
  const ServerOptions& options() const;
  Loop* loop() const;

 private:
  friend class LocalCall;
  std::unique_ptr<ServerImpl> impl_;
};

// Streams of one connection beyond this are refused (REFUSED_STREAM) whatever max_concurrent_streams says.
constexpr size_t kStreamsHardMax = 50'000;

}  // namespace quorate::net
