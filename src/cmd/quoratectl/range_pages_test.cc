#include "cmd/quoratectl/range_pages.h"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

namespace quorate::cmd {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// Keys as a server answers for them. Revision 7 until something is changed.
class Store {
 public:
  std::map<std::string, std::string> keys;
  std::vector<RangeRequest> asked;
  size_t largest = 0;  // Answer, in bytes.

  StatusOr<RangeResponse> operator()(const RangeRequest& request) {
    asked.push_back(request);
    if (request.revision() != 0 && request.revision() != 7) return OutOfRange("compacted");
    RangeResponse response;
    response.mutable_header()->set_revision(7);
    const auto end = request.range_end() == std::string(1, '\0') ? keys.end()
                     : request.range_end().empty()               ? keys.upper_bound(request.key())
                                                                 : keys.lower_bound(request.range_end());
    for (auto at = keys.lower_bound(request.key()); at != end; ++at) {
      if (request.limit() > 0 && response.kvs_size() == request.limit()) {
        response.set_more(true);
        break;
      }
      auto* const kv = response.add_kvs();
      kv->set_key(at->first);
      kv->set_value(at->second);
    }
    largest = std::max(largest, response.ByteSizeLong());
    return response;
  }
};

RangeRequest Prefix() {
  RangeRequest request;
  request.set_key("a");
  request.set_range_end("b");
  return request;
}

std::string Keys(RangePages* pages) {
  std::string keys;
  const Status status = pages->ForEach([&](const RangeResponse& page) {
    for (const auto& kv : page.kvs()) keys += kv.key() + " ";
  });
  EXPECT_TRUE(status.ok()) << status;
  return keys;
}

TEST(RangePagesTest, AllKeysOnceAtOneRevision) {
  Store store;
  std::string wanted;
  for (int i = 1000; i < 3500; ++i) {
    store.keys["a" + std::to_string(i)] = std::string(i % 40 == 0 ? 100'000 : 10, 'x');
    wanted += "a" + std::to_string(i) + " ";
  }
  store.keys["b"] = "outside";
  RangePages pages(Prefix(), [&](const RangeRequest& request) { return store(request); });
  EXPECT_EQ(Keys(&pages), wanted);
  EXPECT_GT(store.asked.size(), 2U);
  EXPECT_EQ(store.asked[0].revision(), 0);
  EXPECT_EQ(store.asked[1].revision(), 7);
  // A second round is of that revision, too.
  store.asked.clear();
  EXPECT_EQ(Keys(&pages), wanted);
  EXPECT_EQ(store.asked[0].revision(), 7);
}

TEST(RangePagesTest, LargeValuesMakeSmallPages) {
  Store store;
  for (int i = 0; i < 200; ++i) store.keys["a" + std::to_string(i)] = std::string(1'000'000, 'x');
  RangePages pages(Prefix(), [&](const RangeRequest& request) { return store(request); });
  Keys(&pages);
  EXPECT_LT(store.largest, size_t{20'000'000});
}

TEST(RangePagesTest, Limits) {
  Store store;
  for (int i = 100; i < 200; ++i) store.keys["a" + std::to_string(i)] = "x";
  for (const int limit : {1, 15, 16, 17, 99, 100, 101}) {
    RangeRequest request = Prefix();
    request.set_limit(limit);
    RangePages pages(request, [&](const RangeRequest& asked) { return store(asked); });
    EXPECT_EQ(Keys(&pages).size(), 5U * static_cast<size_t>(std::min(limit, 100))) << limit;
  }
}

TEST(RangePagesTest, OneAnswerWhereKeysDoNotRise) {
  Store store;
  for (int i = 100; i < 200; ++i) store.keys["a" + std::to_string(i)] = "x";
  RangeRequest request = Prefix();
  request.set_sort_order(RangeRequest::DESCEND);
  RangePages pages(request, [&](const RangeRequest& asked) { return store(asked); });
  Keys(&pages);
  EXPECT_EQ(store.asked.size(), 1U);
  EXPECT_EQ(store.asked[0].limit(), 0);
  RangeRequest one;
  one.set_key("a150");
  RangePages single(one, [&](const RangeRequest& asked) { return store(asked); });
  EXPECT_EQ(Keys(&single), "a150 ");
}

TEST(RangePagesTest, ErrorsAreTheServers) {
  Store store;
  RangeRequest request = Prefix();
  request.set_revision(3);
  RangePages pages(request, [&](const RangeRequest& asked) { return store(asked); });
  EXPECT_EQ(pages.ForEach([](const RangeResponse&) {}), OutOfRange("compacted"));
}

}  // namespace
}  // namespace quorate::cmd
