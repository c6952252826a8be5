#include "sim/history.h"

#include <algorithm>
#include <array>

namespace quorate::sim {
namespace {

std::string Short(std::string_view value) {
  return value.size() <= 24 ? std::string(value)
                            : std::string(value.substr(0, 16)) + "..(" + std::to_string(value.size()) + ")";
}

std::string Keys(const std::string& key, const std::string& end) {
  if (end.empty()) return key;
  return "[" + key + "," + (end == std::string(1, '\0') ? "\\0" : end) + ")";
}

std::string Describe(const SimpleOp& op) {
  return std::string(OpName(op.kind)) + " " + Keys(op.key, op.end) +
         (op.value.empty() ? "" : "=" + Short(op.value));
}

std::string Describe(const Compare& compare) {
  static constexpr std::array<const char*, 5> kTargets = {"version", "create", "mod", "value", "lease"};
  static constexpr std::array<const char*, 4> kResults = {"=", ">", "<", "!="};
  return std::string(kTargets[static_cast<size_t>(compare.target)]) + "(" + compare.key + ")" +
         kResults[static_cast<size_t>(compare.result)] +
         (compare.target == Compare::Target::kValue ? compare.value : std::to_string(compare.number));
}

}  // namespace

std::string_view OpName(OpKind kind) {
  static constexpr std::array<std::string_view, 18> kNames = {
      "range",          "put",           "delete",      "txn",        "compact",  "grant",
      "revoke",         "keepalive",     "hash-kv",     "defragment", "snapshot", "member-add",
      "member-promote", "member-remove", "move-leader", "disarm",     "alarm",    "auth"};
  return kNames[static_cast<size_t>(kind)];
}

bool SaysChanged(const Operation& operation) {
  if (!operation.acknowledged()) return false;
  switch (operation.request.kind) {
    case OpKind::kPut:
      return true;
    case OpKind::kDelete:
      return operation.response.deleted > 0;
    case OpKind::kTxn:
      return std::any_of(operation.response.answers.begin(), operation.response.answers.end(),
                         [](const SimpleAnswer& a) {
                           return a.kind == OpKind::kPut || (a.kind == OpKind::kDelete && a.deleted > 0);
                         });
    default:
      return false;
  }
}

bool InRange(std::string_view key, std::string_view from, std::string_view end) {
  if (end.empty()) return key == from;
  return key >= from && (end == std::string_view("\0", 1) || key < end);
}

std::string Describe(const Pair& pair) {
  return pair.key + "=" + Short(pair.value) + "{create " + std::to_string(pair.create) + ", mod " +
         std::to_string(pair.mod) + ", version " + std::to_string(pair.version) +
         (pair.lease == 0 ? "" : ", lease " + std::to_string(pair.lease)) + "}";
}

std::string Describe(const Event& event) {
  return event.deletion ? "delete " + event.pair.key + "@" + std::to_string(event.pair.mod)
                        : "put " + Describe(event.pair);
}

std::string Describe(const Request& request) {
  std::string text(OpName(request.kind));
  if (!request.key.empty()) text += " " + Keys(request.key, request.end);
  if (!request.value.empty()) text += "=" + Short(request.value);
  if (request.lease != 0) text += " lease=" + std::to_string(request.lease);
  if (request.ttl != 0) text += " ttl=" + std::to_string(request.ttl);
  if (request.revision != 0) text += " revision=" + std::to_string(request.revision);
  if (request.limit != 0) text += " limit=" + std::to_string(request.limit);
  if (request.serializable) text += " serializable";
  if (request.member != 0) text += " member=" + std::to_string(request.member);
  if (request.kind == OpKind::kAuth) text += " change=" + std::to_string(static_cast<int>(request.change));
  if (!request.user.empty()) text += " by=" + request.user;
  for (const Compare& compare : request.compares) text += " if " + Describe(compare);
  for (const SimpleOp& op : request.then) text += " then " + Describe(op);
  for (const SimpleOp& op : request.otherwise) text += " else " + Describe(op);
  return text;
}

std::string Describe(const Operation& operation) {
  std::string text = "op " + std::to_string(operation.id) + " of c" + std::to_string(operation.client) +
                     " to m" + std::to_string(operation.member) + ": " + Describe(operation.request) +
                     ", asked at " + std::to_string(operation.asked) + " ns";
  if (operation.answered < 0) return text + ", never answered";
  text += ", answered at " + std::to_string(operation.answered) + " ns: ";
  if (!operation.response.status.ok()) return text + operation.response.status.ToString();
  text += "revision " + std::to_string(operation.response.revision);
  for (const Pair& pair : operation.response.pairs) text += ", " + Describe(pair);
  return text;
}

}  // namespace quorate::sim
