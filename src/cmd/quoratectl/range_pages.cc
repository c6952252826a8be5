#include "cmd/quoratectl/range_pages.h"

#include <algorithm>
#include <utility>

namespace quorate::cmd {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// How large a page is to be. A value has 1.5 MB at most where nobody has raised --max-request-bytes.
constexpr int64_t kPageBytes = 4 << 20;
constexpr int64_t kFirstPageKeys = 16;
constexpr int64_t kPageKeysMax = 10'000;

bool ByRisingKeys(const RangeRequest& request) {
  return request.sort_order() == RangeRequest::NONE ||
         (request.sort_target() == RangeRequest::KEY && request.sort_order() == RangeRequest::ASCEND);
}

// As many as fill a page, if they are like those of the last one.
int64_t NextPageKeys(const RangeResponse& page) {
  const auto bytes = static_cast<int64_t>(page.ByteSizeLong());
  return std::clamp(kPageBytes * page.kvs_size() / std::max<int64_t>(bytes, 1), int64_t{1}, kPageKeysMax);
}

}  // namespace

RangePages::RangePages(RangeRequest request, Fetch fetch)
    : request_(std::move(request)), fetch_(std::move(fetch)) {}

Status RangePages::ForEach(const std::function<void(const RangeResponse&)>& show) {
  RangeRequest next = request_;
  const bool paged = ByRisingKeys(request_) && !request_.range_end().empty();
  int64_t left = request_.limit();  // 0: all.
  int64_t keys = kFirstPageKeys;
  while (true) {
    if (paged) next.set_limit(left > 0 ? std::min(left, keys) : keys);
    QUORATE_ASSIGN_OR_RETURN(const RangeResponse page, fetch_(next));
    if (request_.revision() == 0) request_.set_revision(page.header().revision());
    next.set_revision(request_.revision());
    show(page);
    if (!paged || !page.more() || page.kvs().empty()) return absl::OkStatus();
    if (left > 0 && (left -= page.kvs_size()) <= 0) return absl::OkStatus();
    keys = NextPageKeys(page);
    next.set_key(page.kvs(page.kvs_size() - 1).key() + '\0');
  }
}

}  // namespace quorate::cmd
