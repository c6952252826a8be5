// A range read page by page, so that a store of gigabytes is never in one answer: neither server nor client
// has to hold it.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "rpc.pb.h"

namespace quorate::cmd {

// One thread. Every page, also of further rounds, is of the revision of the first one; when that is compacted
// meanwhile, the error is the server's.
class RangePages {
 public:
  using Fetch = std::function<StatusOr<etcdserverpb::RangeResponse>(const etcdserverpb::RangeRequest&)>;

  RangePages(etcdserverpb::RangeRequest request, Fetch fetch);

  // Calls `show` with each page, in the order that was asked for. One that is not by rising keys comes in one
  // page: only by keys can one go on from the last.
  Status ForEach(const std::function<void(const etcdserverpb::RangeResponse&)>& show);

 private:
  etcdserverpb::RangeRequest request_;
  const Fetch fetch_;
};

}  // namespace quorate::cmd
