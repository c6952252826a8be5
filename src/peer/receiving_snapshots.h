// The databases that are being received, and who has to make room when there are too many: anybody who
// reaches the port can begin one and then send next to nothing.
//
// Owner: the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

namespace quorate::peer {

class ReceivingSnapshots {
 public:
  using Id = uint64_t;
  enum class Cause { kRoom, kStop };
  // Is to call Leave.
  using Evict = std::function<void(Cause)>;
  static constexpr size_t kMax = 4;
  // One that takes longer than kSlowNanos for so many bytes is slow.
  static constexpr uint64_t kProgressBytes = 1024 * 1024;
  static constexpr int64_t kSlowNanos = 60'000'000'000;

  // 0: there is no room. Else Leave(id) follows. Where there are kMax already, one of somebody who is no
  // member makes room for a member's, and a slow one for anybody's: its `evict` is called.
  Id Enter(bool member, int64_t now, Evict evict);
  // So much has come.
  void Progress(Id id, size_t bytes, int64_t now);
  // All has come: from now on it waits for our disk, and is not slow any more.
  void Complete(Id id);
  void Leave(Id id) { all_.erase(id); }
  // All have to leave, whole ones too.
  void Stop();
  size_t count() const { return all_.size(); }

 private:
  struct One {
    bool member = false;
    bool complete = false;
    int64_t since = 0;   // When it last had got on by kProgressBytes.
    uint64_t bytes = 0;  // Since then.
    Evict evict;
  };

  void Evicted(Id id, Cause cause);
  // Of those that have to go, the one that got on least lately; 0: none has to.
  Id Choose(bool for_member, int64_t now) const;

  std::map<Id, One> all_;
  Id last_ = 0;
};

}  // namespace quorate::peer
