using CsCheck;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Tests;

public sealed class QueueIdTests
{
    private static readonly Gen<QueueId> AnyId =
        Gen.Select(Gen.Long[0, (1L << 48) - 1], Gen.UInt, QueueId.Create);

    [Fact]
    public void Text_and_bytes_round_trip() => AnyId.Sample(id =>
        QueueId.TryParse(id.ToString(), out var fromText) && fromText == id
        && QueueId.Read(id.ToBytes()) == id && id.ToString().Length == QueueId.TextLength);

    [Fact]
    public void Text_and_bytes_sort_by_time() => Gen.Select(AnyId, AnyId).Sample((a, b) =>
        Math.Sign(a.CompareTo(b)) == Math.Sign(string.CompareOrdinal(a.ToString(), b.ToString()))
        && Math.Sign(a.CompareTo(b)) == Math.Sign(a.ToBytes().AsSpan().SequenceCompareTo(b.ToBytes())));

    [Theory]
    [InlineData("")]
    [InlineData("0123456789ABCDE")]
    [InlineData("0123456789ABCDEU")]
    [InlineData("../../etc/passwd")]
    public void What_is_no_id_is_refused(string text) => Assert.False(QueueId.TryParse(text, out _));

    [Fact]
    public void Letters_that_look_like_digits_are_read_as_digits()
    {
        var id = QueueId.Create(33, 1);
        var text = id.ToString().Replace('0', 'o').Replace('1', 'l');
        Assert.True(QueueId.TryParse(text, out var parsed));
        Assert.Equal(id, parsed);
    }
}
