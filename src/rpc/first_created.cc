#include "rpc/first_created.h"

#include <limits>
#include <memory>
#include <utility>

namespace quorate::rpc {
namespace {

using Done = std::function<void(const StatusOr<FirstCreated>&)>;

StatusOr<FirstCreated> Fetch(const mvcc::RangePlan& plan, int64_t revision) {
  QUORATE_ASSIGN_OR_RETURN(const mvcc::RangeResult result, plan.Finish());
  FirstCreated first{std::nullopt, revision};
  if (!result.kvs.empty()) first.kv = std::string(result.kvs.front());
  return first;
}

void Look(server::Member& member, const FirstCreatedQuery& query, const Done& done) {
  const std::string end = PrefixEnd(query.prefix);
  mvcc::RangeOptions options;
  options.key = query.prefix;
  options.range_end = end;
  options.limit = 1;
  options.sort_order = query.order;
  options.sort_target = mvcc::SortTarget::kCreate;
  options.max_create_revision = query.max_create_revision;
  StatusOr<mvcc::RangePlan> plan = member.store().PlanRange(options);
  if (!plan.ok()) return done(plan.status());
  const int64_t revision = member.store().current_revision();
  if (plan->Resident()) return done(Fetch(*plan, revision));
  struct Job {
    mvcc::RangePlan plan;
    StatusOr<FirstCreated> found = FirstCreated{};
  };
  const auto job = std::make_shared<Job>();
  job->plan = *std::move(plan);
  member.env().executor->Submit(
      Lane::kRead, [job, revision] { job->found = Fetch(job->plan, revision); },
      [job, done] { done(job->found); });
}

}  // namespace

void FindFirstCreated(server::Member* member, PacedWork* paced, FirstCreatedQuery query, Done done) {
  const int64_t keys = member->store().index().Count(query.prefix, PrefixEnd(query.prefix),
                                                     std::numeric_limits<int64_t>::max());
  paced->AddForKeys(static_cast<size_t>(keys), [member, query = std::move(query), done = std::move(done)] {
    Look(*member, query, done);
  });
}

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace quorate::rpc
