// What clients asked and what they were told: plain data, made by the clients, judged by the checkers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::sim {

// One version of a key, as mvccpb.KeyValue has it.
struct Pair {
  std::string key;
  std::string value;
  int64_t create = 0;
  int64_t mod = 0;
  int64_t version = 0;
  int64_t lease = 0;

  friend bool operator==(const Pair&, const Pair&) = default;
};

// A change of one key. Of a deletion only key and mod are set in `pair`.
struct Event {
  bool deletion = false;
  Pair pair;
  std::optional<Pair> previous;  // Only where it was asked for.

  friend bool operator==(const Event&, const Event&) = default;
};

enum class OpKind : uint8_t {
  kRange,
  kPut,
  kDelete,
  kTxn,
  kCompact,
  kLeaseGrant,
  kLeaseRevoke,
  kLeaseKeepAlive,
  kHashKv,
  kDefragment,
  kSnapshot,
  kMemberAdd,
  kMemberPromote,
  kMemberRemove,
  kMoveLeader,
  kDisarm,  // All alarms NOSPACE.
  kAlarm,   // One alarm NOSPACE on or off; only as an entry of the log.
  kAuth,    // A change of users or roles.
};
enum class AuthChange : uint8_t {
  kUserAdd,     // key: the user.
  kUserDelete,  // key.
  kGrantRole,   // key: the user, value: the role.
  kRevokeRole,
  kRoleAdd,  // key: the role.
  kRoleDelete,
  kGrantRead,  // value: the role; key, end.
  kGrantWrite,
  kGrantBoth,
  kRevokePermission,
  kEnable,
  kDisable,
};
std::string_view OpName(OpKind kind);

// Keys as on the wire: empty `end` is the one key, "\0" everything from key on, else exclusive.
struct SimpleOp {
  OpKind kind = OpKind::kRange;  // kRange, kPut or kDelete.
  std::string key, end, value;
  int64_t lease = 0;
  int64_t revision = 0;  // Of a range.
};

struct Compare {
  enum class Target : uint8_t { kVersion, kCreate, kMod, kValue, kLease };
  enum class Result : uint8_t { kEqual, kGreater, kLess, kNotEqual };  // As in etcdserverpb.
  Target target = Target::kVersion;
  Result result = Result::kEqual;
  std::string key;
  int64_t number = 0;
  std::string value;
};

struct Request {
  OpKind kind = OpKind::kRange;
  std::string key, end, value;
  int64_t lease = 0;     // Put; the lease of lease requests.
  int64_t ttl = 0;       // Seconds.
  int64_t revision = 0;  // Of a range, a hash, a compaction.
  int64_t limit = 0;
  bool serializable = false;
  std::vector<Compare> compares;
  std::vector<SimpleOp> then, otherwise;
  uint64_t member = 0;    // Promote, remove, move: whom.
  std::string peer_url;   // Add.
  bool activate = false;  // Of an alarm.
  AuthChange change = AuthChange::kEnable;
  std::string user;  // Who asks, where authentication is on.
};

struct SimpleAnswer {
  OpKind kind = OpKind::kRange;
  std::vector<Pair> pairs;
  int64_t count = 0;
  int64_t deleted = 0;

  friend bool operator==(const SimpleAnswer&, const SimpleAnswer&) = default;
};

struct Response {
  Status status;
  int64_t revision = 0;  // Of the header.
  uint64_t term = 0;
  std::vector<Pair> pairs;
  int64_t count = 0;
  bool more = false;
  int64_t deleted = 0;
  bool succeeded = false;
  std::vector<SimpleAnswer> answers;  // Of a transaction.
  int64_t lease = 0;
  int64_t ttl = 0;
  uint32_t hash = 0;
  int64_t compact_revision = 0;
  uint64_t member = 0;
};

struct Operation {
  uint64_t id = 0;  // From 1, in order of asking.
  int client = 0;
  int member = 0;     // Whom it was asked of.
  uint64_t life = 0;  // Which process of that member answered.
  Request request;
  int64_t asked = 0;
  int64_t answered = -1;  // -1: never; then, as after an error, it may have happened, or may happen yet.
  Response response;

  bool acknowledged() const { return answered >= 0 && response.status.ok(); }
};

// Whether what the response says changed the store.
bool SaysChanged(const Operation& operation);

// One response of a watch.
struct WatchAnswer {
  enum class Kind : uint8_t { kCreated, kEvents, kProgress, kCompacted };
  Kind kind = Kind::kEvents;
  int64_t at = 0;  // When the client had it.
  int64_t header_revision = 0;
  int64_t compact_revision = 0;
  bool whole_stream = false;  // Progress of all watches of the stream, not of this one.
  std::vector<Event> events;
};

// One watch on one member, from its creation to the end of its stream. A client that resumes makes another,
// with `resumes` naming the one it goes on from.
struct WatchRecord {
  uint64_t id = 0;
  uint64_t resumes = 0;
  int client = 0;
  int member = 0;
  std::string key, end;
  int64_t start = 0;  // As asked for; 0: from now on.
  bool previous = false;
  bool no_put = false;
  bool no_delete = false;
  bool open = true;  // The client still reads it.
  int64_t asked = 0;
  std::vector<WatchAnswer> answers;
};

struct History {
  std::map<uint64_t, Operation> operations;
  std::map<uint64_t, WatchRecord> watches;
};

bool InRange(std::string_view key, std::string_view from, std::string_view end);
// For traces.
std::string Describe(const Request& request);
std::string Describe(const Operation& operation);
std::string Describe(const Event& event);
std::string Describe(const Pair& pair);

}  // namespace quorate::sim
