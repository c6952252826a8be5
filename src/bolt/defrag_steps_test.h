// For tests: the steps of a defragmentation as the backend makes them, without its pauses.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "bolt/db.h"
#include "bolt/tail_pages.h"

namespace quorate::bolt {

inline StatusOr<CutResult> LowerAndCut(Db& db) {
  {
    QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<WriteTx> tx, db.BeginWrite());
    tx->LowerHighWater();
    QUORATE_RETURN_IF_ERROR(tx->Commit());
  }
  return db.CutFile(UINT64_MAX);
}

// Moves what can be moved, `step` pages a transaction, and cuts the file.
inline Status DefragmentWhole(Db& db, size_t step = 32) {
  for (bool moving = true; moving;) {
    moving = false;
    const Stats stats = db.stats();
    std::vector<TailPage> tail;
    {
      QUORATE_ASSIGN_OR_RETURN(const ReadTx tx, db.BeginRead());
      QUORATE_ASSIGN_OR_RETURN(tail, FindTailPages(tx, stats.pages_total - stats.pages_free + 8, 256));
    }
    for (size_t i = 0; i < tail.size();) {
      QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<WriteTx> tx, db.BeginWrite());
      for (const size_t end = std::min(tail.size(), i + step); i < end; ++i) {
        QUORATE_ASSIGN_OR_RETURN(const WriteTx::MoveResult result, tx->Move(tail[i]));
        if (result == WriteTx::MoveResult::kMoved) moving = true;
      }
      tx->LowerHighWater();
      QUORATE_RETURN_IF_ERROR(tx->Commit());
      QUORATE_RETURN_IF_ERROR(db.CutFile(UINT64_MAX).status());
    }
  }
  for (int i = 0; i < 4; ++i) QUORATE_RETURN_IF_ERROR(LowerAndCut(db).status());
  return absl::OkStatus();
}

}  // namespace quorate::bolt
