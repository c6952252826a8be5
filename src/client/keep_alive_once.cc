#include "client/keep_alive_once.h"

#include <memory>

#include "client/pulled_stream.h"
#include "client/rpc.h"

namespace quorate::client {

StatusOr<etcdserverpb::LeaseKeepAliveResponse> RenewOnce(Core* core, int64_t id, const CallOptions& call) {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  // The server answers the one request and ends the stream when it sees the end of ours.
  auto stream = std::make_shared<PulledStream>(core, kLeaseKeepAlive, ToBytes(request), call);
  stream->Start();
  grpc::ByteBuffer bytes;
  const StatusOr<bool> answered = stream->Next(&bytes);
  stream->Cancel();
  QUORATE_RETURN_IF_ERROR(answered.status());
  etcdserverpb::LeaseKeepAliveResponse response;
  if (!*answered) return Internal("the server ended the renewal of a lease without an answer");
  QUORATE_RETURN_IF_ERROR(FromBytes(bytes, &response));
  if (response.ttl() <= 0) return NotFound("etcdserver: requested lease not found");
  return response;
}

}  // namespace quorate::client
