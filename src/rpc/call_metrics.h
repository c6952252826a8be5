// Counts of calls per method, as go-grpc-prometheus keeps them: grpc_server_{started,handled,msg_received,msg_sent}_total.
// Core thread only.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

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

 private:
  std::vector<MethodStats> methods_;
};

inline std::string_view CallTypeName(CallType type) {
  switch (type) {
    case CallType::kUnary: return "unary";
    case CallType::kServerStream: return "server_stream";
    case CallType::kBidiStream: return "bidi_stream";
  }
  return "unary";
}

}  // namespace quorate::rpc
