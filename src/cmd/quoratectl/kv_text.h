// Answers about keys as text: shared by get, put, del and txn. Pure functions.
#pragma once

#include <string>

#include "rpc.pb.h"

namespace quorate::cmd {

// In -w simple.
std::string GetLines(const etcdserverpb::RangeResponse& response, bool hex, bool value_only);
std::string PutLines(const etcdserverpb::PutResponse& response, bool hex);
std::string DelLines(const etcdserverpb::DeleteRangeResponse& response, bool hex);
std::string TxnLines(const etcdserverpb::TxnResponse& response, bool hex);

// In -w fields.
std::string GetFields(const etcdserverpb::RangeResponse& response, bool hex);
std::string PutFields(const etcdserverpb::PutResponse& response, bool hex);
std::string DelFields(const etcdserverpb::DeleteRangeResponse& response, bool hex);
std::string TxnFields(const etcdserverpb::TxnResponse& response, bool hex);

}  // namespace quorate::cmd
