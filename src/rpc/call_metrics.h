// Counts of calls per method, as go-grpc-prometheus keeps them:
// grpc_server_{started,handled,msg_received,msg_sent}_total. Core thread only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/status.h"

namespace quorate::rpc {

enum class CallType : uint8_t { kUnary, kServerStream, kBidiStream };
std::string_view CallTypeName(CallType type);

constexpr size_t kCodeCount = 17;

struct MethodStats {
  std::string_view service;  // "etcdserverpb.KV"
  std::string_view method;   // "Put"
  CallType type = CallType::kUnary;
  uint64_t started = 0;
  uint64_t received = 0;
  uint64_t sent = 0;
  std::array<uint64_t, kCodeCount> handled{};
};

class CallMetrics {
 public:
  // The index by which a call finds its row.
  uint32_t Add(std::string_view service, std::string_view method, CallType type) {
    methods_.push_back({.service = service, .method = method, .type = type});
    return static_cast<uint32_t>(methods_.size() - 1);
  }
  MethodStats& at(uint32_t index) { return methods_[index]; }
  const std::vector<MethodStats>& methods() const { return methods_; }

  // etcd_server_client_requests_total: calls by type ("unary", "stream") and the client's API version.
  void CountClient(bool stream, std::string_view api_version) {
    auto& counts = stream ? stream_clients_ : unary_clients_;
    for (auto& [version, count] : counts) {
      if (version == api_version) {
        ++count;
        return;
      }
    }
    // A client may say anything, and the page of metrics must stay one that can be read.
    if (!IsVersion(api_version)) return CountClient(stream, "unknown");
    // Beyond a handful of versions the rest is one row, too.
    if (counts.size() >= kClientVersionsMax && api_version != "other") return CountClient(stream, "other");
    counts.emplace_back(api_version, 1);
  }
  using ClientCounts = std::vector<std::pair<std::string, uint64_t>>;
  const ClientCounts& unary_clients() const { return unary_clients_; }
  const ClientCounts& stream_clients() const { return stream_clients_; }

 private:
  static constexpr size_t kClientVersionsMax = 32;
  static constexpr size_t kVersionBytesMax = 32;

  static bool IsVersion(std::string_view text) {
    return !text.empty() && text.size() <= kVersionBytesMax && std::ranges::all_of(text, [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '+';
    });
  }

  std::vector<MethodStats> methods_;
  ClientCounts unary_clients_;
  ClientCounts stream_clients_;
};

inline std::string_view CallTypeName(CallType type) {
  switch (type) {
    case CallType::kUnary:
      return "unary";
    case CallType::kServerStream:
      return "server_stream";
    case CallType::kBidiStream:
      return "bidi_stream";
  }
  return "unary";
}

}  // namespace quorate::rpc
