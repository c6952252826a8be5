#include "workload.h"

#include <algorithm>

#include "rpc.pb.h"

namespace quorate::bench {

namespace pb = etcdserverpb;

void PutDigits(uint64_t number, char* at) {
  for (size_t i = kDigits; i-- > 0; number /= 10) at[i] = static_cast<char>('0' + number % 10);
}

std::string Key(uint64_t number) {
  std::string key = "key-" + std::string(kDigits, '0');
  PutDigits(number, key.data() + 4);
  return key;
}

Template::Template(std::string p, const google::protobuf::Message& message)
    : path(std::move(p)), bytes(message.SerializeAsString()) {
  const std::string zero = Key(0);
  for (size_t at = bytes.find(zero); at != std::string::npos; at = bytes.find(zero, at + 1)) {
    digits.push_back(at + 4);
  }
}

Mix MakeMix(const std::string& workload, uint64_t keys, size_t value_bytes) {
  constexpr uint64_t kLimit = 1000;
  const auto is = [&](const char* name) { return workload == name; };
  const std::string first = Key(0);
  Mix mix;
  mix.keys = keys;
  pb::PutRequest put;
  put.set_key(first);
  put.set_value(std::string(value_bytes, 'v'));
  pb::RangeRequest range;
  range.set_key(first);
  if (is("put") || is("fill")) {
    mix.templates.emplace_back("/etcdserverpb.KV/Put", put);
    if (is("fill")) mix.order = Order::kSequential;
  } else if (is("range") || is("range-linear")) {
    range.set_serializable(is("range"));
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
    mix.answer_bytes = value_bytes;
  } else if (is("range1000") || is("scan")) {
    range.set_serializable(true);
    range.set_range_end("key.");
    range.set_limit(kLimit);
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
    mix.answer_bytes = std::min(kLimit, keys) * value_bytes;
    if (is("scan")) {
      mix.order = Order::kSequential;
      mix.stride = kLimit;
      mix.answer_bytes = value_bytes;
    } else {
      mix.keys = keys > kLimit ? keys - kLimit : 1;  // So that every answer is a full one.
    }
  } else if (is("txn")) {
    pb::TxnRequest txn;
    auto* compare = txn.add_compare();
    compare->set_key(first);
    compare->set_target(pb::Compare::VERSION);
    compare->set_result(pb::Compare::GREATER);
    compare->set_version(0);
    *txn.add_success()->mutable_request_put() = put;
    mix.templates.emplace_back("/etcdserverpb.KV/Txn", txn);
  } else if (is("delete")) {
    pb::DeleteRangeRequest request;
    request.set_key(first);
    mix.templates.emplace_back("/etcdserverpb.KV/DeleteRange", request);
    mix.order = Order::kSequential;
  } else if (is("mixed")) {
    mix.templates.emplace_back("/etcdserverpb.KV/Put", put);
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
  }
  return mix;
}

}  // namespace quorate::bench
