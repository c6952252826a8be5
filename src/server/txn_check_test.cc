#include "server/txn_check.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "server/errors.h"

namespace quorate::server {
namespace {

using etcdserverpb::TxnRequest;

TxnRequest Parsed(const std::string& text) {
  TxnRequest txn;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &txn)) << text;
  return txn;
}

std::string Put(const std::string& key) { return "request_put { key: \"" + key + "\" }"; }
std::string Delete(const std::string& key, const std::string& end = "") {
  return "request_delete_range { key: \"" + key + "\" range_end: \"" + end + "\" }";
}
std::string Success(const std::string& op) { return "success { " + op + " } "; }
std::string Failure(const std::string& op) { return "failure { " + op + " } "; }
std::string Nested(const std::string& txn) { return "request_txn { " + txn + " }"; }

struct Case {
  const char* name;
  std::string txn;
  Status wanted;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class CheckTxnTable : public testing::TestWithParam<Case> {};

TEST_P(CheckTxnTable, Holds) { EXPECT_EQ(CheckTxn(Parsed(GetParam().txn), 4), GetParam().wanted); }

INSTANTIATE_TEST_SUITE_P(
    TxnCheck, CheckTxnTable,
    testing::Values(
        Case{"Empty", "", {}}, Case{"PutTwice", Success(Put("a")) + Success(Put("a")), ErrDuplicateKey()},
        Case{"PutInBothBranches", Success(Put("a")) + Failure(Put("a")), {}},
        Case{"PutTwiceInFailure", Failure(Put("a")) + Failure(Put("a")), ErrDuplicateKey()},
        Case{"PutAndDeleteOfTheKey", Success(Put("a")) + Success(Delete("a")), ErrDuplicateKey()},
        Case{"PutInDeletedRange", Success(Put("b")) + Success(Delete("a", "c")), ErrDuplicateKey()},
        Case{"PutAtTheRangesEnd", Success(Put("c")) + Success(Delete("a", "c")), {}},
        Case{"PutBeforeTheRange", Success(Put("a")) + Success(Delete("b", "c")), {}},
        Case{"PutInTheSecondOfOverlappingRanges",
             Success(Delete("a", "c")) + Success(Delete("b", "e")) + Success(Put("d")), ErrDuplicateKey()},
        Case{"OverlappingDeletes", Success(Delete("a", "c")) + Success(Delete("b", "d")), {}},
        // The original compares with the end as it stands there.
        Case{"PutInRangeFromKeyOn",
             Success(Put("b")) + Success("request_delete_range { key: \"a\" range_end: \"\\000\" }"),
             {}},
        Case{"NestedPutTwice", Success(Nested(Success(Put("a")))) + Success(Put("a")), ErrDuplicateKey()},
        Case{"NestedPutInBothBranches", Success(Nested(Success(Put("a")) + Failure(Put("a")))), {}},
        Case{"NestedPutInBothBranchesAndOutside",
             Success(Nested(Success(Put("a")) + Failure(Put("a")))) + Success(Put("a")), ErrDuplicateKey()},
        Case{"TwoNestedPutsOfOneKey", Success(Nested(Success(Put("a")))) + Success(Nested(Success(Put("a")))),
             ErrDuplicateKey()},
        Case{"NestedDeleteOfAPut", Success(Nested(Success(Delete("a", "c")))) + Success(Put("b")),
             ErrDuplicateKey()},
        Case{"NestedPutOfADelete", Success(Nested(Failure(Put("b")))) + Success(Delete("a", "c")),
             ErrDuplicateKey()},
        Case{"NestedOtherKeys", Success(Nested(Success(Put("a")))) + Success(Put("b")), {}},
        Case{"EmptyPutKey", Success(Put("")), ErrEmptyKey()},
        Case{"EmptyDeleteKey", Failure(Delete("")), ErrEmptyKey()},
        Case{"EmptyRangeKey", Success("request_range { }"), ErrEmptyKey()},
        Case{"EmptyCompareKey", "compare { }", ErrEmptyKey()},
        Case{"NestedEmptyKey", Success(Nested(Failure(Put("")))), ErrEmptyKey()},
        Case{"EmptyOperation", "success { }", ErrKeyNotFound()},
        Case{"ValueAndIgnoreValue", Success("request_put { key: \"a\" value: \"v\" ignore_value: true }"),
             ErrValueProvided()},
        Case{"LeaseAndIgnoreLease", Success("request_put { key: \"a\" lease: 1 ignore_lease: true }"),
             ErrLeaseProvided()},
        Case{"SortOrder", Success("request_range { key: \"a\" sort_order: 3 }"), ErrInvalidSortOption()},
        Case{"SortTarget", Success("request_range { key: \"a\" sort_target: 5 }"), ErrInvalidSortOption()},
        Case{"FourOperations",
             Success(Put("a")) + Success(Put("b")) + Success(Put("c")) + Success(Put("d")),
             {}},
        Case{
            "FiveOperations",
            Success(Put("a")) + Success(Put("b")) + Success(Put("c")) + Success(Put("d")) + Success(Put("e")),
            ErrTooManyOps()},
        Case{"FiveCompares",
             "compare { key: \"a\" } compare { key: \"a\" } compare { key: \"a\" } compare { key: \"a\" } "
             "compare { key: \"a\" }",
             ErrTooManyOps()},
        // A nested transaction has what its parent's longest list leaves.
        Case{"ThreeLevels", Success(Nested(Success(Nested(Success(Put("a")))))), {}},
        Case{"FiveLevels",
             Success(Nested(Success(Nested(Success(Nested(Success(Nested(Success(Put("a")))))))))),
             ErrTooManyOps()}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(TxnCheck, Ranges) {
  EXPECT_EQ(CheckRange("", 0, 0), ErrEmptyKey());
  EXPECT_TRUE(CheckRange("a", 2, 4).ok());
  EXPECT_EQ(CheckRange("a", -1, 0), ErrInvalidSortOption());
  EXPECT_EQ(CheckRange("a", 0, 9), ErrInvalidSortOption());
}

TEST(TxnCheck, ReadOnlyAndSerializable) {
  const std::string range = "request_range { key: \"a\" }";
  const std::string serializable = "request_range { key: \"a\" serializable: true }";
  EXPECT_TRUE(IsReadOnly(Parsed("")));
  EXPECT_TRUE(IsSerializable(Parsed("")));
  EXPECT_TRUE(IsReadOnly(Parsed(Success(range) + Failure(range))));
  EXPECT_FALSE(IsReadOnly(Parsed(Success(range) + Failure(Put("a")))));
  EXPECT_FALSE(IsReadOnly(Parsed(Success(Delete("a")))));
  EXPECT_FALSE(IsReadOnly(Parsed(Success(Nested(Success(range))))));
  EXPECT_FALSE(IsSerializable(Parsed(Success(serializable) + Failure(range))));
  EXPECT_TRUE(IsSerializable(Parsed(Success(serializable) + Failure(serializable))));
}

// What the door lets pass must be readable when it is applied: protobuf alone stops at 100 messages.
TEST(TxnCheck, DeepestTransactionParses) {
  constexpr size_t kOpsMax = 128;
  const auto nested = [](size_t levels) {
    TxnRequest txn;
    TxnRequest* inner = &txn;
    for (size_t i = 1; i < levels; ++i) inner = inner->add_success()->mutable_request_txn();
    inner->add_success()->mutable_request_put()->set_key("a");
    return txn;
  };
  const TxnRequest deepest = nested(kOpsMax);
  EXPECT_TRUE(CheckTxn(deepest, kOpsMax).ok());
  EXPECT_EQ(CheckTxn(nested(kOpsMax + 1), kOpsMax), ErrTooManyOps());
  TxnRequest parsed;
  ASSERT_TRUE(ParseTxn(deepest.SerializeAsString(), &parsed));
  EXPECT_EQ(parsed.SerializeAsString(), deepest.SerializeAsString());
  EXPECT_FALSE(ParseTxn("\xff\xff", &parsed));
}

}  // namespace
}  // namespace quorate::server
