// Operations and transactions as values. A Txn may be an operation of another one.
//
//   Txn().If({VersionOf("lock").Equals(0)})
//        .Then({Op::Put("lock", "me", {.lease = lease})})
//        .Else({Op::Get("lock")});
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "quorate/client/key_range.h"
#include "rpc.pb.h"

namespace quorate::client {

using SortOrder = etcdserverpb::RangeRequest::SortOrder;
using SortTarget = etcdserverpb::RangeRequest::SortTarget;

struct GetOptions {
  int64_t limit = 0;     // Zero: all.
  int64_t revision = 0;  // Zero: now.
  SortOrder sort_order = etcdserverpb::RangeRequest::NONE;
  SortTarget sort_target = etcdserverpb::RangeRequest::KEY;
  bool serializable = false;  // From the member's own state, which may be old.
  bool keys_only = false;
  bool count_only = false;
  int64_t min_mod_revision = 0;  // Zero: no bound, here and below.
  int64_t max_mod_revision = 0;
  int64_t min_create_revision = 0;
  int64_t max_create_revision = 0;
};

struct PutOptions {
  int64_t lease = 0;  // The key goes with this lease. Zero: it stays.
  bool prev_kv = false;
  bool ignore_value = false;  // Keep the value that the key has; `value` must be empty.
  bool ignore_lease = false;  // Keep the lease that the key has; `lease` must be zero.
};

struct DeleteOptions {
  bool prev_kv = false;
};

etcdserverpb::RangeRequest MakeRange(const KeyRange& keys, const GetOptions& options = {});
etcdserverpb::PutRequest MakePut(std::string_view key, std::string_view value,
                                 const PutOptions& options = {});
etcdserverpb::DeleteRangeRequest MakeDelete(const KeyRange& keys, const DeleteOptions& options = {});

class Txn;

class Op {
 public:
  static Op Get(const KeyRange& keys, const GetOptions& options = {});
  static Op Put(std::string_view key, std::string_view value, const PutOptions& options = {});
  static Op Delete(const KeyRange& keys, const DeleteOptions& options = {});
  static Op Nested(const Txn& txn);

  const etcdserverpb::RequestOp& message() const { return message_; }

 private:
  etcdserverpb::RequestOp message_;
};

using Compare = etcdserverpb::Compare;

// One side of a comparison with a number. Over a range it must hold for every key of it.
class NumberOf {
 public:
  NumberOf(Compare::CompareTarget target, const KeyRange& keys);
  Compare Equals(int64_t number) const { return Make(Compare::EQUAL, number); }
  Compare NotEquals(int64_t number) const { return Make(Compare::NOT_EQUAL, number); }
  Compare Greater(int64_t number) const { return Make(Compare::GREATER, number); }
  Compare Less(int64_t number) const { return Make(Compare::LESS, number); }

 private:
  Compare Make(Compare::CompareResult result, int64_t number) const;
  Compare base_;
};

class BytesOf {
 public:
  explicit BytesOf(const KeyRange& keys);
  Compare Equals(std::string_view bytes) const { return Make(Compare::EQUAL, bytes); }
  Compare NotEquals(std::string_view bytes) const { return Make(Compare::NOT_EQUAL, bytes); }
  Compare Greater(std::string_view bytes) const { return Make(Compare::GREATER, bytes); }
  Compare Less(std::string_view bytes) const { return Make(Compare::LESS, bytes); }

 private:
  Compare Make(Compare::CompareResult result, std::string_view bytes) const;
  Compare base_;
};

// How often the key was written since it was created; zero: it does not exist.
inline NumberOf VersionOf(const KeyRange& keys) { return {Compare::VERSION, keys}; }
inline NumberOf CreateRevisionOf(const KeyRange& keys) { return {Compare::CREATE, keys}; }
inline NumberOf ModRevisionOf(const KeyRange& keys) { return {Compare::MOD, keys}; }
inline NumberOf LeaseOf(const KeyRange& keys) { return {Compare::LEASE, keys}; }
inline BytesOf ValueOf(const KeyRange& keys) { return BytesOf(keys); }

// If all comparisons hold the operations of Then, else those of Else, as one revision. Each part may be given
// in pieces.
class Txn {
 public:
  Txn& If(const std::vector<Compare>& comparisons);
  Txn& Then(const std::vector<Op>& operations);
  Txn& Else(const std::vector<Op>& operations);

  const etcdserverpb::TxnRequest& message() const { return message_; }

 private:
  etcdserverpb::TxnRequest message_;
};

}  // namespace quorate::client
