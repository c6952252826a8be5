// What the other members say of the backups in their directories, on the peer port.
//
// GET /quorate/backup: {"ageNanos":N,"running":false,"takenUnixNanos":N}, of the newest one there; ageNanos
// is -1 without one, and then nothing tells when it was taken. etcd answers 404.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "server/peer_service.h"
#include "server/transport.h"

namespace quorate::server {
class Member;
}

namespace quorate::backup {

inline constexpr std::string_view kPeerPath = "/quorate/backup";
// A backup that seems to be of the future was taken by a clock that went wrong; a little of it is the clocks
// of members that share a directory.
inline constexpr int64_t kClockSkewNanos = int64_t{60} * 1'000'000'000;

struct BackupAnswer {
  std::optional<int64_t> age_nanos;
  std::optional<int64_t> newest_unix_nanos;
  bool running = false;
};
std::string EncodeAnswer(const BackupAnswer& answer);
// What can't be read says nothing.
BackupAnswer DecodeAnswer(std::string_view text);

// Owner: the core's thread.
class OthersBackups {
 public:
  // Neither is owned.
  OthersBackups(server::Member* member, const Clock* clock) : member_(*member), clock_(*clock) {}

  bool asking() const { return open_ > 0; }
  // All of them at once; `done` when each has answered, or can't. Not while asking.
  void Ask(std::function<void()> done);

  // As far as they have ever said.
  std::optional<int64_t> AgeNanos() const;
  // By the names of the files, so that no clock that is wrong removes anything.
  std::optional<int64_t> newest_unix_nanos() const { return newest_unix_nanos_; }
  // One of them takes one now. One that says so for longer than this may be stuck, and does not count.
  bool AreAtIt(int64_t nanos_max) const;

 private:
  void OnAnswer(const StatusOr<server::PeerAnswer>& answer);
  void OnAll(const std::function<void()>& done);

  server::Member& member_;
  const Clock& clock_;
  size_t open_ = 0;
  BackupAnswer answers_;                // The best of this time.
  std::optional<int64_t> taken_nanos_;  // Monotonic, as their ages say.
  std::optional<int64_t> newest_unix_nanos_;
  std::optional<int64_t> began_nanos_;  // Monotonic: since when they say that they are at it.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::backup
