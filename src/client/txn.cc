#include "quorate/client/txn.h"

namespace quorate::client {

etcdserverpb::RangeRequest MakeRange(const KeyRange& keys, const GetOptions& options) {
  etcdserverpb::RangeRequest request;
  request.set_key(keys.key);
  request.set_range_end(keys.end);
  request.set_limit(options.limit);
  request.set_revision(options.revision);
  request.set_sort_order(options.sort_order);
  request.set_sort_target(options.sort_target);
  request.set_serializable(options.serializable);
  request.set_keys_only(options.keys_only);
  request.set_count_only(options.count_only);
  request.set_min_mod_revision(options.min_mod_revision);
  request.set_max_mod_revision(options.max_mod_revision);
  request.set_min_create_revision(options.min_create_revision);
  request.set_max_create_revision(options.max_create_revision);
  return request;
}

etcdserverpb::PutRequest MakePut(std::string_view key, std::string_view value, const PutOptions& options) {
  etcdserverpb::PutRequest request;
  request.set_key(key.data(), key.size());
  request.set_value(value.data(), value.size());
  request.set_lease(options.lease);
  request.set_prev_kv(options.prev_kv);
  request.set_ignore_value(options.ignore_value);
  request.set_ignore_lease(options.ignore_lease);
  return request;
}

etcdserverpb::DeleteRangeRequest MakeDelete(const KeyRange& keys, const DeleteOptions& options) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(keys.key);
  request.set_range_end(keys.end);
  request.set_prev_kv(options.prev_kv);
  return request;
}

Op Op::Get(const KeyRange& keys, const GetOptions& options) {
  Op op;
  *op.message_.mutable_request_range() = MakeRange(keys, options);
  return op;
}

Op Op::Put(std::string_view key, std::string_view value, const PutOptions& options) {
  Op op;
  *op.message_.mutable_request_put() = MakePut(key, value, options);
  return op;
}

Op Op::Delete(const KeyRange& keys, const DeleteOptions& options) {
  Op op;
  *op.message_.mutable_request_delete_range() = MakeDelete(keys, options);
  return op;
}

Op Op::Nested(const Txn& txn) {
  Op op;
  *op.message_.mutable_request_txn() = txn.message();
  return op;
}

NumberOf::NumberOf(Compare::CompareTarget target, const KeyRange& keys) {
  base_.set_target(target);
  base_.set_key(keys.key);
  base_.set_range_end(keys.end);
}

Compare NumberOf::Make(Compare::CompareResult result, int64_t number) const {
  Compare compare = base_;
  compare.set_result(result);
  switch (base_.target()) {
    case Compare::VERSION:
      compare.set_version(number);
      break;
    case Compare::CREATE:
      compare.set_create_revision(number);
      break;
    case Compare::MOD:
      compare.set_mod_revision(number);
      break;
    default:
      compare.set_lease(number);
      break;
  }
  return compare;
}

BytesOf::BytesOf(const KeyRange& keys) {
  base_.set_target(Compare::VALUE);
  base_.set_key(keys.key);
  base_.set_range_end(keys.end);
}

Compare BytesOf::Make(Compare::CompareResult result, std::string_view bytes) const {
  Compare compare = base_;
  compare.set_result(result);
  compare.set_value(bytes.data(), bytes.size());
  return compare;
}

Txn& Txn::If(const std::vector<Compare>& comparisons) {
  for (const Compare& comparison : comparisons) *message_.add_compare() = comparison;
  return *this;
}

Txn& Txn::Then(const std::vector<Op>& operations) {
  for (const Op& op : operations) *message_.add_success() = op.message();
  return *this;
}

Txn& Txn::Else(const std::vector<Op>& operations) {
  for (const Op& op : operations) *message_.add_failure() = op.message();
  return *this;
}

}  // namespace quorate::client
