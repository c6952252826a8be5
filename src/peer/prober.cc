#include "peer/prober.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/logging.h"

namespace quorate::peer {
namespace {

// Weight of the past in the smoothed round-trip time.
constexpr double kSmoothing = 0.875;

}  // namespace

std::string ProbeAnswer(int64_t wall_nanos) {
  // Go's RFC3339Nano: no trailing zeros in the fraction.
  const std::string now =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixNanos(wall_nanos), absl::UTCTimeZone());
  return "{\"OK\":true,\"Now\":\"" + now + "\"}\n";
}

std::optional<int64_t> ParseProbeAnswer(std::string_view body) {
  constexpr std::string_view kKey = "\"Now\":\"";
  const size_t start = body.find(kKey);
  if (start == std::string_view::npos) return std::nullopt;
  const std::string_view rest = body.substr(start + kKey.size());
  const std::string_view text = rest.substr(0, rest.find('"'));
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time, &error)) {
    return std::nullopt;
  }
  return absl::ToUnixNanos(time);
}

Prober::Prober(std::shared_ptr<Context> context, std::shared_ptr<UrlPicker> picker, uint64_t peer_id)
    : context_(std::move(context)), picker_(std::move(picker)), peer_id_(peer_id) {
  probe_timer_ = context_->loop->Every(net::Loop::Nanos(kProbeNanos), [this] { Probe(); });
  report_timer_ = context_->loop->After(net::Loop::Nanos(kReportUnhealthyNanos), [this] { Report(); });
}

Prober::~Prober() {
  context_->loop->Cancel(probe_timer_);
  context_->loop->Cancel(report_timer_);
  if (call_ != nullptr) call_->Cancel();
}

void Prober::Probe() {
  if (picker_->empty() || context_->events == nullptr) return;
  if (call_ != nullptr) call_->Cancel();  // Over, or too late.
  status_ = 0;
  body_.clear();
  authority_ = picker_->picked().authority;
  sent_nanos_ = context_->now();
  ClientRequest request;
  request.target = "/raft/probing";
  request.dial_timeout_nanos = std::min(context_->dial_timeout_nanos(), kProbeNanos);
  request.idle_timeout_nanos = kProbeNanos;
  // With a connection of its own each time, dialing would count as round trip.
  call_ = context_->http.Start(picker_->picked(), std::move(request), this);
}

void Prober::OnHead(const HttpHead& head) { status_ = head.status; }

void Prober::OnBody(std::string_view bytes) {
  body_.append(bytes.substr(0, kAnswerBytesMax - std::min(kAnswerBytesMax, body_.size())));
}

void Prober::OnEnd() {
  const std::optional<int64_t> remote = status_ == 200 ? ParseProbeAnswer(body_) : std::nullopt;
  if (!remote)
    return OnFailed(Unavailable("unexpected answer to a probe, status " + std::to_string(status_)));
  const int64_t round_trip = context_->now() - sent_nanos_;
  context_->metrics.Of(peer_id_).probes.Observe(static_cast<double>(round_trip) / 1e6);
  round_trip_nanos_ = round_trip_nanos_ == 0
                          ? round_trip
                          : static_cast<int64_t>(kSmoothing * static_cast<double>(round_trip_nanos_) +
                                                 (1 - kSmoothing) * static_cast<double>(round_trip));
  clock_difference_nanos_ = context_->env.clock->WallNanos() - *remote - round_trip_nanos_ / 2;
  healthy_ = true;
  error_.clear();
}

void Prober::OnFailed(const Status& status) {
  ++context_->metrics.Of(peer_id_).probes.failures;
  healthy_ = false;
  error_ = quorate::Message(status);
  picker_->Unreachable(authority_);
}

void Prober::Report() {
  if (!healthy_) {
    LOG_WARN("prober detected unhealthy status", {"round-tripper-name", "ROUND_TRIPPER_RAFT_MESSAGE"},
             log::HexId("remote-peer-id", peer_id_), log::Duration("rtt", round_trip_nanos_),
             {"error", error_});
  }
  if (std::abs(clock_difference_nanos_) > kClockDifferenceMax) {
    LOG_WARN("prober found high clock drift", {"round-tripper-name", "ROUND_TRIPPER_RAFT_MESSAGE"},
             log::HexId("remote-peer-id", peer_id_), log::Duration("clock-drift", clock_difference_nanos_),
             log::Duration("rtt", round_trip_nanos_), {"error", error_});
  }
  context_->metrics.Of(peer_id_).round_trip.ObserveNanos(round_trip_nanos_);
  const int64_t next = healthy_ ? kReportNanos : kReportUnhealthyNanos;
  report_timer_ = context_->loop->After(net::Loop::Nanos(next), [this] { Report(); });
}

}  // namespace quorate::peer
