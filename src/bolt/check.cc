#include "bolt/check.h"

#include <algorithm>

#include "bolt/meta.h"

namespace quorate::bolt {

CheckReport Check(const ReadTx& tx, const TreeWalk::PageFn& on_page) {
  TreeWalk walk(tx.pages(), TreeWalk::Keys::kVerify, on_page);
  walk.Run(tx.meta());
  CheckReport report;
  report.problems = walk.problems();
  report.counts = walk.counts();
  report.pages_total = tx.meta().high_water;
  report.pages_free = static_cast<uint64_t>(std::count(walk.reached().begin(), walk.reached().end(), false));
  const uint64_t listed = walk.listed_free().size();
  if (tx.meta().freelist != kFreelistNone && report.ok() && listed != report.pages_free) {
    report.problems.push_back(tx.pages().Damage(
        tx.meta().freelist, "the free list holds " + std::to_string(listed) + " pages, but " +
                                std::to_string(report.pages_free) + " are not in use"));
  }
  return report;
}

Status CheckUsable(const ReadTx& tx, const TreeWalk::PageFn& on_page) {
  TreeWalk walk(tx.pages(), TreeWalk::Keys::kVerify, on_page);
  walk.Run(tx.meta());
  if (walk.ended()) return absl::CancelledError("the check of the db file was ended");
  return walk.problems().empty() ? absl::OkStatus() : walk.problems().front();
}

}  // namespace quorate::bolt
