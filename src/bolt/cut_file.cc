// Shortening the file behind a defragmentation.
#include <algorithm>

#include "base/check.h"
#include "bolt/db.h"
#include "bolt/db_state.h"

namespace quorate::bolt {
namespace {

// Of the file: less than this part at its end is not worth another commit, and under load some page there is
// always on its way.
constexpr uint64_t kWorthwhilePart = 128;

}  // namespace

StatusOr<CutResult> Db::CutFile(uint64_t bytes_max) {
  QUORATE_CHECK(!writer_->open);
  uint64_t high_water = 0;  // The newest.
  uint64_t reached = writer_->high_water_before;
  uint64_t page_size = 0;
  {
    std::lock_guard lock(shared_->mutex);
    QUORATE_RETURN_IF_ERROR(shared_->failed);
    high_water = shared_->meta.high_water;
    page_size = shared_->meta.page_size;
    for (const auto& [txid, same] : shared_->readers) reached = std::max(reached, same.high_water);
  }
  reached = std::max(reached, high_water);
  CutResult result;
  // A reader that begins from now on sees the newest state, which lies below.
  const uint64_t wanted = reached * page_size;
  if (wanted < writer_->file_bytes) {
    const uint64_t to = std::max(wanted, writer_->file_bytes - std::min(bytes_max, writer_->file_bytes));
    QUORATE_RETURN_IF_ERROR(writer_->file->Truncate(to));
    result.cut_bytes = writer_->file_bytes - to;
    writer_->file_bytes = to;
    std::lock_guard lock(shared_->mutex);
    shared_->figures.file_bytes = to;
  }
  const uint64_t tail =
      writer_->file_bytes / page_size - high_water + writer_->pending.CountTail(high_water, writer_->free);
  result.owed = tail > high_water / kWorthwhilePart;
  return result;
}

}  // namespace quorate::bolt
