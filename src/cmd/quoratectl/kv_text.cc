#include "cmd/quoratectl/kv_text.h"

#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

using etcdserverpb::ResponseOp;

std::string OpLines(const ResponseOp& op, bool hex) {
  switch (op.response_case()) {
    case ResponseOp::kResponseRange:
      return GetLines(op.response_range(), hex, false);
    case ResponseOp::kResponsePut:
      return PutLines(op.response_put(), hex);
    case ResponseOp::kResponseDeleteRange:
      return DelLines(op.response_delete_range(), hex);
    case ResponseOp::kResponseTxn:
      return TxnLines(op.response_txn(), hex);
    case ResponseOp::RESPONSE_NOT_SET:
      break;
  }
  return "unexpected response " + op.ShortDebugString() + "\n";
}

std::string OpFields(const ResponseOp& op, bool hex) {
  switch (op.response_case()) {
    case ResponseOp::kResponseRange:
      return GetFields(op.response_range(), hex);
    case ResponseOp::kResponsePut:
      return PutFields(op.response_put(), hex);
    case ResponseOp::kResponseDeleteRange:
      return DelFields(op.response_delete_range(), hex);
    case ResponseOp::kResponseTxn:
      return TxnFields(op.response_txn(), hex);
    case ResponseOp::RESPONSE_NOT_SET:
      break;
  }
  return FieldLine("Unknown", op.ShortDebugString(), true);
}

}  // namespace

std::string GetLines(const etcdserverpb::RangeResponse& response, bool hex, bool value_only) {
  std::string text;
  for (const auto& kv : response.kvs()) text += KeyLines(kv, hex, value_only);
  return text;
}

std::string PutLines(const etcdserverpb::PutResponse& response, bool hex) {
  return "OK\n" + (response.has_prev_kv() ? KeyLines(response.prev_kv(), hex, false) : "");
}

std::string DelLines(const etcdserverpb::DeleteRangeResponse& response, bool hex) {
  std::string text = std::to_string(response.deleted()) + "\n";
  for (const auto& kv : response.prev_kvs()) text += KeyLines(kv, hex, false);
  return text;
}

std::string TxnLines(const etcdserverpb::TxnResponse& response, bool hex) {
  std::string text = response.succeeded() ? "SUCCESS\n" : "FAILURE\n";
  for (const ResponseOp& op : response.responses()) text += "\n" + OpLines(op, hex);
  return text;
}

std::string GetFields(const etcdserverpb::RangeResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex);
  for (const auto& kv : response.kvs()) text += KeyFields(kv, "", hex);
  return text + BoolField("More", response.more()) + FieldLine("Count", response.count());
}

std::string PutFields(const etcdserverpb::PutResponse& response, bool hex) {
  return HeaderFields(response.header(), hex) +
         (response.has_prev_kv() ? KeyFields(response.prev_kv(), "Prev", hex) : "");
}

std::string DelFields(const etcdserverpb::DeleteRangeResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex) + FieldLine("Deleted", response.deleted());
  for (const auto& kv : response.prev_kvs()) text += KeyFields(kv, "Prev", hex);
  return text;
}

std::string TxnFields(const etcdserverpb::TxnResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex) + BoolField("Succeeded", response.succeeded());
  for (const ResponseOp& op : response.responses()) text += OpFields(op, hex);
  return text;
}

}  // namespace quorate::cmd
