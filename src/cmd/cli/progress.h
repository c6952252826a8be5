// A line on the terminal that shows how far long work has come:
//   restoring   [=========>          ]  47 %  1.2 GB of 2.5 GB  310 MB/s  4 s left
// Appears only when the work has lasted a second, and only where `terminal` says that somebody looks; it is
// wiped when the work ends, so that what the command prints stands alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace quorate::cmd {

// What a piece of work calls as it goes on: how much is done, and how much there is (0: unknown). Cheap
// enough to be called for each page or chunk.
using ProgressFn = std::function<void(uint64_t done, uint64_t total)>;

// One thread.
class Progress {
 public:
  enum class Unit { kBytes, kItems };
  using Write = std::function<void(std::string_view)>;

  // `clock` must outlive the object. Without a terminal nothing is ever written.
  Progress(std::string title, Unit unit, const Clock* clock, bool terminal, Write write);
  ~Progress();  // Wipes the line.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(uint64_t done, uint64_t total);
  // The next phase: rate and time start anew.
  void Restart(std::string title);
  ProgressFn Callback() {
    return [this](uint64_t done, uint64_t total) { Update(done, total); };
  }

 private:
  std::string Line(int64_t elapsed_nanos, uint64_t done, uint64_t total) const;
  void Wipe();

  std::string title_;
  const Unit unit_;
  const Clock* const clock_;
  const bool terminal_;
  const Write write_;
  int64_t started_nanos_;
  int64_t drawn_nanos_ = 0;  // 0: not yet.
  size_t drawn_columns_ = 0;
};

// On stderr, if that is a terminal.
Progress MakeProgress(std::string title, Progress::Unit unit, const Clock* clock);

}  // namespace quorate::cmd
