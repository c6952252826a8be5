#include "cluster/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace quorate::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kOwnId = 0xabc;
constexpr const char* kSizeKey = "/_etcd/registry/token/_config/size";
constexpr const char* kOwnKey = "/_etcd/registry/token/members/abc";
constexpr const char* kOwn = "m=http://10.0.0.1:2380";

// A store in memory. What happens while somebody waits is scripted; a wait without a script fails.
class FakeService final : public DiscoveryService {
 public:
  void Put(const std::string& key, const std::string& value) {
    const auto found = rows_.find(key);
    ++revision_;
    rows_[key] = {key, value, found == rows_.end() ? revision_ : found->second.create_revision};
  }
  void PutMember(int number) {
    Put("/_etcd/registry/token/members/" + std::to_string(number),
        "m" + std::to_string(number) + "=http://10.0.1." + std::to_string(number) + ":2380");
  }
  void Erase(const std::string& key) { rows_.erase(key); }
  std::string Value(const std::string& key) const { return rows_.at(key).value; }

  StatusOr<DiscoveryRows> Read(const std::string& key, bool prefix) override {
    QUORATE_RETURN_IF_ERROR(NextFailure());
    DiscoveryRows found;
    found.revision = revision_;
    for (const auto& [name, row] : rows_) {
      if (prefix ? name.starts_with(key) : name == key) found.rows.push_back(row);
    }
    return found;
  }
  Status Create(const std::string& key, const std::string& value) override {
    QUORATE_RETURN_IF_ERROR(NextFailure());
    if (rows_.contains(key)) return AlreadyExists("there");
    Put(key, value);
    if (lose_answer_of_create) {
      lose_answer_of_create = false;
      return Unavailable("connection lost");
    }
    return absl::OkStatus();
  }
  Status AwaitChange(const std::string&, int64_t from_revision) override {
    waited_from.push_back(from_revision);
    if (events.empty()) return Unavailable("nobody comes");
    events.front()();
    events.erase(events.begin());
    return absl::OkStatus();
  }
  bool Pause(int64_t nanos) override {
    pauses.push_back(nanos / 1'000'000'000);
    return pauses.size() < pauses_max;
  }

  std::vector<Status> failures;  // Of the next calls.
  std::vector<std::function<void()>> events;
  bool lose_answer_of_create = false;
  std::vector<int64_t> waited_from;
  std::vector<int64_t> pauses;  // Seconds.
  size_t pauses_max = 100;

 private:
  Status NextFailure() {
    if (failures.empty()) return absl::OkStatus();
    const Status failure = failures.front();
    failures.erase(failures.begin());
    return failure;
  }

  std::map<std::string, DiscoveryRow> rows_;
  int64_t revision_ = 1;
};

StatusOr<std::string> Join(FakeService* service) { return JoinByDiscovery({"token", kOwnId, kOwn}, service); }

std::string Refusal(FakeService* service) {
  const auto joined = Join(service);
  return joined.ok() ? "joined " + *joined : std::string(Message(joined.status()));
}

TEST(Discovery, FirstMembersByCreateRevision) {
  FakeService service;
  service.Put(kSizeKey, "3");
  service.PutMember(2);
  service.events = {[&] { service.PutMember(1); }};
  EXPECT_EQ(*Join(&service), "m2=http://10.0.1.2:2380,m=http://10.0.0.1:2380,m1=http://10.0.1.1:2380");
  EXPECT_EQ(service.Value(kOwnKey), kOwn);
  // From the revision after the one that was read: nothing can fall between.
  EXPECT_THAT(service.waited_from, ElementsAre(5));
}

TEST(Discovery, AMemberTooManyIsLeftOutByAll) {
  FakeService service;
  service.Put(kSizeKey, "2");
  service.events = {[&] {
    service.PutMember(1);
    service.PutMember(2);
  }};
  EXPECT_EQ(*Join(&service), "m=http://10.0.0.1:2380,m1=http://10.0.1.1:2380");
}

TEST(Discovery, FullBeforeAndAfterRegistering) {
  FakeService service;
  service.Put(kSizeKey, "1");
  service.PutMember(1);
  EXPECT_THAT(Refusal(&service), StartsWith("discovery: cluster is full"));

  // Another was faster between our look and our registration.
  class Racing final : public DiscoveryService {
   public:
    StatusOr<DiscoveryRows> Read(const std::string& key, bool prefix) override {
      return inner.Read(key, prefix);
    }
    Status Create(const std::string& key, const std::string& value) override {
      inner.PutMember(1);
      return inner.Create(key, value);
    }
    Status AwaitChange(const std::string& prefix, int64_t from) override {
      return inner.AwaitChange(prefix, from);
    }
    bool Pause(int64_t nanos) override { return inner.Pause(nanos); }
    FakeService inner;
  } racing;
  racing.inner.Put(kSizeKey, "1");
  EXPECT_THAT(std::string(Message(JoinByDiscovery({"token", kOwnId, kOwn}, &racing).status())),
              StartsWith("discovery: cluster is full"));
}

TEST(Discovery, ARestartedMemberKeepsItsPlace) {
  FakeService service;
  service.Put(kSizeKey, "2");
  service.Put(kOwnKey, kOwn);
  service.PutMember(1);
  EXPECT_EQ(*Join(&service), "m=http://10.0.0.1:2380,m1=http://10.0.1.1:2380");
}

TEST(Discovery, SizeMustBeThere) {
  const struct {
    const char* size;
    const char* error;
  } cases[] = {
      {nullptr, "discovery: size key not found"},    {"0", "discovery: size key is bad"},
      {"x", "discovery: size key is bad"},           {"3x", "discovery: size key is bad"},
      {"-1", "discovery: size key is bad"},          {"", "discovery: size key is bad"},
      {"99999999999", "discovery: size key is bad"},
  };
  for (const auto& c : cases) {
    FakeService service;
    if (c.size != nullptr) service.Put(kSizeKey, c.size);
    EXPECT_THAT(Refusal(&service), StartsWith(c.error));
    EXPECT_TRUE(service.pauses.empty());
  }
}

TEST(Discovery, DuplicatesAreRefused) {
  FakeService same_id;
  same_id.Put(kSizeKey, "2");
  same_id.Put(kOwnKey, "other=http://10.0.0.1:2380");
  EXPECT_THAT(Refusal(&same_id), HasSubstr("found duplicate peer"));
  EXPECT_EQ(same_id.Value(kOwnKey), "other=http://10.0.0.1:2380");

  FakeService same_name;
  same_name.Put(kSizeKey, "2");
  same_name.Put("/_etcd/registry/token/members/1", "m=http://10.0.1.1:2380");
  EXPECT_THAT(Refusal(&same_name), HasSubstr("two members have one name"));

  FakeService same_url;
  same_url.Put(kSizeKey, "2");
  same_url.Put("/_etcd/registry/token/members/1", "n=http://10.0.0.1:2380");
  EXPECT_THAT(Refusal(&same_url), HasSubstr("has duplicate url http://10.0.0.1:2380"));
}

TEST(Discovery, WhatIsNoMemberIsLeftOut) {
  FakeService service;
  service.Put(kSizeKey, "2");
  service.Put("/_etcd/registry/token/members/1", "rubbish");
  service.events = {[&] { service.PutMember(2); }};
  EXPECT_EQ(*Join(&service), "m=http://10.0.0.1:2380,m2=http://10.0.1.2:2380");

  FakeService bad_url;
  bad_url.Put(kSizeKey, "2");
  bad_url.Put("/_etcd/registry/token/members/1", "n=nonsense");
  EXPECT_THAT(Refusal(&bad_url), StartsWith("discovery: invalid peer URL"));
}

TEST(Discovery, AFailingServiceIsAskedAgainWithGrowingPauses) {
  FakeService service;
  service.Put(kSizeKey, "1");
  service.failures = std::vector<Status>(10, Unavailable("no connection"));
  EXPECT_EQ(*Join(&service), kOwn);
  EXPECT_THAT(service.pauses, ElementsAre(2, 4, 8, 16, 32, 64, 128, 256, 256, 256));
}

TEST(Discovery, ALostAnswerToARegistrationIsNoDuplicate) {
  FakeService service;
  service.Put(kSizeKey, "1");
  service.lose_answer_of_create = true;
  EXPECT_EQ(*Join(&service), kOwn);
}

TEST(Discovery, AFailedWatchLooksAgain) {
  FakeService service;
  service.Put(kSizeKey, "2");
  service.pauses_max = 3;
  const auto joined = Join(&service);
  EXPECT_TRUE(absl::IsUnavailable(joined.status()));
  EXPECT_EQ(service.pauses.size(), 3u);
}

TEST(Discovery, ARefusalIsNotTriedAgain) {
  for (const Status& refusal : {PermissionDenied("etcdserver: permission denied"),
                                InvalidArgument("etcdserver: authentication failed")}) {
    FakeService service;
    service.failures = {refusal};
    EXPECT_EQ(Join(&service).status(), refusal);
    EXPECT_TRUE(service.pauses.empty());
  }
}

}  // namespace
}  // namespace quorate::cluster
