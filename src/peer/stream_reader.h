// What comes from a member on one type of stream: dials it, and reads the endless answer; dials again
// whenever that ends. Source: etcdserver/api/rafthttp/stream.go (streamReader).
//
// Owner: the loop's thread. Held by shared_ptr: a message handed to the member may lead to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "peer/context.h"
#include "peer/http_client.h"
#include "peer/peer_status.h"
#include "peer/stream_codec.h"
#include "peer/url_picker.h"

namespace quorate::peer {

class StreamReader : public HttpCall::Handler, public std::enable_shared_from_this<StreamReader> {
 public:
  // Between two attempts, counted from the first's start; doubled with each failure in a row up to the
  // second.
  static constexpr int64_t kRedialNanos = 100'000'000;
  static constexpr int64_t kRedialNanosMax = 1'000'000'000;

  StreamReader(std::shared_ptr<Context> context, std::shared_ptr<PeerStatus> status,
               std::shared_ptr<UrlPicker> picker, uint64_t peer_id, StreamKind kind);
  ~StreamReader() override;

  void Start();
  // The member has shown a sign of life: no need to wait for long.
  void Hasten();
  void Stop();
  bool open() const { return decoder_ != nullptr; }

 private:
  void Dial();
  void ScheduleDial();
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd() override;
  void OnFailed(const Status& status) override;
  // False when the reader was stopped meanwhile.
  bool Deliver(raft::Message message);
  std::string Refusal() const;
  void Ended(const Status& status);

  const std::shared_ptr<Context> context_;
  const std::shared_ptr<PeerStatus> status_;
  const std::shared_ptr<UrlPicker> picker_;
  const uint64_t peer_id_;
  const StreamKind kind_;
  std::string authority_;  // Of the URL being used.
  std::shared_ptr<HttpCall> call_;
  HttpHead head_;
  std::string refusal_;                     // Body of an answer that is no stream.
  std::unique_ptr<StreamDecoder> decoder_;  // Set while the stream is open.
  Status violation_;                        // Of the protocol, found while delivering.
  net::Loop::TimerId timer_ = 0;
  int64_t dialed_nanos_ = 0;
  int failures_ = 0;
  bool stopped_ = false;
};

}  // namespace quorate::peer
