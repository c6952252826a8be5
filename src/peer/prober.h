// Asks a member every few seconds for its clock: round-trip time, clock difference, and the warnings about
// them. Source: etcdserver/api/rafthttp/probing_status.go, github.com/xiang90/probing.
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "peer/context.h"
#include "peer/http_client.h"
#include "peer/url_picker.h"

namespace quorate::peer {

// The answer to GET /raft/probing: {"OK":true,"Now":"2026-11-22T19:13:16.72856676Z"} and a newline.
std::string ProbeAnswer(int64_t wall_nanos);
// Its time in nanoseconds since 1970 UTC; nullopt when it is no such answer.
std::optional<int64_t> ParseProbeAnswer(std::string_view body);

class Prober : public HttpCall::Handler {
 public:
  static constexpr int64_t kProbeNanos = 4'000'000'000;  // Shorter than the other's read timeout.
  static constexpr int64_t kReportNanos = 30'000'000'000;
  static constexpr int64_t kReportUnhealthyNanos = 5'000'000'000;
  static constexpr int64_t kClockDifferenceMax = 1'000'000'000;
  static constexpr size_t kAnswerBytesMax = 1024;

  Prober(std::shared_ptr<Context> context, std::shared_ptr<UrlPicker> picker, uint64_t peer_id);
  ~Prober() override;

 private:
  void Probe();
  void Report();
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd() override;
  void OnFailed(const Status& status) override;

  const std::shared_ptr<Context> context_;
  const std::shared_ptr<UrlPicker> picker_;
  const uint64_t peer_id_;
  std::shared_ptr<HttpCall> call_;
  std::string authority_;
  int status_ = 0;
  std::string body_;
  int64_t sent_nanos_ = 0;
  bool healthy_ = false;
  std::string error_;
  int64_t round_trip_nanos_ = 0;  // Smoothed.
  int64_t clock_difference_nanos_ = 0;
  net::Loop::TimerId probe_timer_ = 0;
  net::Loop::TimerId report_timer_ = 0;
};

}  // namespace quorate::peer
