// POST /raft: the way to a member while it has not opened the stream a message belongs on. Source:
// etcdserver/api/rafthttp/pipeline.go.
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "peer/context.h"
#include "peer/http_client.h"
#include "peer/peer_status.h"
#include "peer/url_picker.h"
#include "raft/types.h"

namespace quorate::peer {

// What the answer to a POST says, as the original words it. PermissionDenied: we were removed.
Status CheckPostAnswer(const HttpHead& head, std::string_view body, std::string_view url);

class Pipeline {
 public:
  static constexpr size_t kRequestsMax = 4;  // At once.
  static constexpr size_t kQueueMax = 64;
  // Nothing is said within a request for so long.
  static constexpr int64_t kIdleNanos = 10'000'000'000;

  Pipeline(std::shared_ptr<Context> context, std::shared_ptr<PeerStatus> status,
           std::shared_ptr<UrlPicker> picker, uint64_t peer_id);
  // What waits and what is under way is dropped.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // False: it is full, and the message is left as it is.
  bool Send(raft::Message&& message);

 private:
  class Request;

  void StartNext();
  void OnDone(Request* request, const Status& status, size_t bytes);

  const std::shared_ptr<Context> context_;
  const std::shared_ptr<PeerStatus> status_;
  const std::shared_ptr<UrlPicker> picker_;
  const uint64_t peer_id_;
  std::deque<raft::Message> queue_;
  std::vector<std::shared_ptr<Request>> requests_;
};

}  // namespace quorate::peer
