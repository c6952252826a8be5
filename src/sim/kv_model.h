// A dumb model of the key space: what the log's entries, in order, make of it. Keeps every version of every
// key for ever, so that any answer about any revision can be judged. Shares no code with mvcc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sim/history.h"

namespace quorate::sim {

class KvModel {
 public:
  struct Effect {
    std::vector<Event> events;  // In order of sub-revision; with the previous pairs.
    Response response;
  };

  int64_t revision() const { return revision_; }
  int64_t compacted() const { return compacted_; }
  // Of a revision from 2 on, as it came about; with the previous pairs.
  const std::vector<Event>& EventsAt(int64_t revision) const;
  std::optional<Pair> Get(const std::string& key, int64_t revision) const;
  // In order of keys.
  std::vector<Pair> Range(std::string_view key, std::string_view end, int64_t revision) const;
  // What the request, a range, put, deletion or transaction, would do and answer as the first after
  // `revision`.
  Effect Execute(const Request& request, int64_t revision) const;

  // ---- from the log ----
  // The answer; its status is an error where the entry is refused and changes nothing.
  Response Apply(const Request& request);
  const std::map<int64_t, std::set<std::string>>& leases() const { return leases_; }
  bool capped() const { return !no_space_.empty(); }

 private:
  struct Version {
    int64_t revision;
    std::optional<Pair> pair;  // None: deleted.
  };

  void Commit(std::vector<Event> events);
  void AttachLeases(const std::vector<Event>& events);
  bool NeedsSpace(const Request& request) const;
  bool LeasesKnown(const Request& request) const;
  bool ReadsKnown(const Request& request) const;
  Response Revoke(int64_t lease);

  int64_t revision_ = 1;
  int64_t compacted_ = -1;
  std::map<std::string, std::vector<Version>> versions_;
  std::vector<std::vector<Event>> events_;  // From revision 2 on.
  std::map<int64_t, std::set<std::string>> leases_;
  std::set<uint64_t> no_space_;  // Members with the alarm.
};

}  // namespace quorate::sim
