// Asks members over HTTP: one question, the URLs tried in turn until one answers. Serves Transport::Call, and
// what is asked before there is a member (bootstrap.h).
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/http.h"
#include "net/loop.h"
#include "peer/http_client.h"
#include "server/transport.h"

namespace quorate::peer {

struct HttpAnswer {
  HttpHead head;
  std::string body;
  std::string url;  // That answered: "http://10.0.0.1:2380".
};

class PeerClient {
 public:
  using Done = std::function<void(StatusOr<HttpAnswer>)>;

  static constexpr size_t kAnswerBytesMax = 16 * 1024 * 1024;

  // `client` must outlive this.
  explicit PeerClient(HttpClient* client) : client_(client) {}
  // What is under way is dropped; `done` is not called any more.
  ~PeerClient();
  PeerClient(const PeerClient&) = delete;
  PeerClient& operator=(const PeerClient&) = delete;

  struct Options {
    int64_t timeout_nanos = 5'000'000'000;       // For all URLs together.
    int64_t dial_timeout_nanos = 2'000'000'000;  // For each.
    net::HttpHeaders headers;                    // Besides those of the call.
  };
  // `done` runs once, in a later round: the answer whatever its status; Unavailable when no URL answered;
  // DeadlineExceeded.
  void Ask(const std::vector<std::string>& urls, server::PeerCall call, Options options, Done done);

 private:
  class Question;

  HttpClient* const client_;
  std::map<Question*, std::shared_ptr<Question>> questions_;
};

}  // namespace quorate::peer
