// Giving the free space of the db file back while it is in use, in one of two ways, each in steps that
// ordinary commits take along (DefragStep).
//
// Moving: the highest pages are written anew in free ones below, and the high-water mark goes down with them.
// Then commits without moves cut the file, until both metas lie below the cut and no reader reaches above it.
//
// Copying, if moving would return less than half of what is free, or leave a tenth of it and of the file,
// because overflow pages have no room below or because more is free within pages than pages are: the whole
// file goes into a new one, which takes its place (FileCopy). It needs room on the disk beside the file:
// where that is short, moving does what it can, and the answer is ResourceExhausted.
//
// Between the steps a reader thread plans and reads the pages that come next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "mvcc/backend.h"
#include "mvcc/backend_job.h"
#include "mvcc/file_copy.h"

namespace quorate::mvcc {

// The core's thread; a part of Backend.
class Defragmenter {
 public:
  explicit Defragmenter(Backend::Impl* backend) : backend_(backend) {}

  // One runs at a time: `done` of a second one is told what the first one comes to.
  void Start(std::function<void(Status)> done);
  bool running() const { return phase_ != Phase::kIdle; }
  // When a commit shall begin though nothing was changed; INT64_MAX for never.
  int64_t next_commit_nanos() const;

  // What the commit that begins now takes along, or null; and its end, if that commit did not fail.
  std::shared_ptr<DefragStep> TakeStep();
  void StepEnded(const DefragStep& step);
  // Ends it now; a step under way comes to nothing.
  void End(const Status& status);
  // None begins from now on.
  void Refuse(const Status& reason) { refused_ = reason; }
  // Removes what is left of copies. No job is under way, and none begins.
  void DiscardCopies();

 private:
  enum class Phase { kIdle, kMoving, kCutting, kCopying };

  // What a reader thread finds out for the next step.
  struct Look {
    std::shared_ptr<const std::vector<bolt::TailPage>> tail;
    size_t begin = 0;
    size_t end = 0;
    uint64_t packable_bytes = 0;  // With the first plan.
    uint64_t room_bytes = 0;      // On the disk.
    Status status;
  };

  // After a step that took so long, at `now`.
  int64_t Pause(int64_t nanos, int64_t now);
  void LookForPages();
  void Looked(const Look& look);
  void LookAhead();
  bool PackingPays(uint64_t packable_bytes) const;
  void MoveEnded(const DefragStep& step);
  void CutEnded(const DefragStep& step);
  void BeginCutting();
  // Whether there is room for it; if not, that is what the run comes to.
  bool MayCopy();
  void BeginCopying();
  // No page can or need be moved any more.
  void MovesEnded();
  // Lets the next step begin, after the pause that the last one calls for.
  void Ready();

  Backend::Impl* const backend_;
  Phase phase_ = Phase::kIdle;
  bool ready_ = false;     // The next step may be taken.
  uint64_t run_ = 0;       // Tells looks of an ended run apart.
  bool cut_owed_ = false;  // After the end: commits go on trying to cut.
  Status refused_;
  std::vector<std::function<void(Status)>> done_;
  uint64_t room_bytes_ = 0;  // On the disk, when it was last looked at.
  Status outcome_;           // Of a run that ends as it should.

  int64_t begin_nanos_ = 0;
  Backend::Stats stats_before_;
  uint64_t pages_before_ = 0;  // The high-water mark.
  uint64_t free_before_ = 0;   // Pages.
  int64_t step_begin_nanos_ = 0;
  int64_t next_step_nanos_ = 0;
  size_t operations_ = 0;  // Changes committed since:
  int64_t operations_since_nanos_ = 0;

  std::shared_ptr<const std::vector<bolt::TailPage>> tail_;  // The plan; null: to be made.
  size_t tail_next_ = 0;
  size_t tail_end_ = 0;      // Of what has been read.
  uint64_t plan_moved_ = 0;  // Pages of this plan.
  size_t plans_ = 0;
  bolt::PageId no_room_end_ = 0;
  bool no_room_before_ = false;  // The last plan ended with a page without room.
  int64_t cutting_until_nanos_ = 0;
  size_t cuts_waiting_ = 0;  // Steps in a row that could cut nothing.
  std::shared_ptr<FileCopy> copy_;
  std::shared_ptr<FileCopy> unwanted_copy_;  // Of a run that ended early; the lane removes it.
};

}  // namespace quorate::mvcc
