using CsCheck;
using Quorumail.Core.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Tests.Queue;

namespace Quorumail.Server.Tests.Limits;

public sealed class LimitEncodingTests
{
    private static readonly Gen<(string Limit, string Key, string Node, int Count, long Number)> Parts =
        Gen.Select(Generators.Text, Generators.Text, Generators.Text, Gen.Int, Gen.Long);

    [Fact]
    public void Every_command_round_trips() => Parts.Sample(p =>
    {
        LimitCommand[] commands =
        [
            new DefineLimitCommand(new LimitDefinition(p.Limit, LimitKind.Concurrency, p.Count, p.Number, LimitPolicy.Share), p.Count % 2 == 0),
            new RemoveLimitCommand(p.Limit),
            new LimitNodesCommand([p.Limit, p.Key, p.Node]),
            new AdoptShareCommand(p.Node, p.Count, p.Number),
            new WantTokensCommand(p.Limit, p.Key, p.Node, p.Count),
            new ReturnTokensCommand(p.Limit, p.Key, p.Node, p.Number, p.Count),
            new WantSlotCommand(p.Limit, p.Key, p.Node),
            new KeepSlotCommand(p.Limit, p.Key, p.Node, p.Number),
            new FreeSlotCommand(p.Limit, p.Key, p.Node, p.Number),
        ];
        Assert.All(commands, c => Assert.Equal(
            QueueEncodingTests.Text(c), QueueEncodingTests.Text(LimitEncoding.DecodeCommand(LimitEncoding.Encode(c)))));
    });

    [Fact]
    public void Answers_and_records_round_trip() => Parts.Sample(p =>
    {
        var answer = new LimitAnswer(LimitStatus.Exhausted, p.Count, p.Number, -p.Number);
        var records = new LimitRecords(
            p.Number,
            [new LimitDefinition(p.Limit, LimitKind.Rate, p.Count, p.Number, LimitPolicy.Closed)],
            [new LimitMember(p.Node, p.Count, -p.Count, p.Number)],
            [new LimitGrant(p.Limit, p.Key, p.Node, p.Number, p.Count, -p.Number)])
        {
            Shares = [new LimitShare(p.Limit, p.Node, p.Count, p.Number, -p.Number)],
        };
        return LimitEncoding.DecodeAnswer(LimitEncoding.Encode(answer)) == answer
            && QueueEncodingTests.Text(LimitEncoding.DecodeRecords(LimitEncoding.Encode(records))) == QueueEncodingTests.Text(records);
    });

    [Fact]
    public void What_is_no_command_is_none_and_a_later_format_is_refused()
    {
        Assert.Null(LimitEncoding.DecodeCommand([]));
        Assert.Null(LimitEncoding.DecodeCommand([LimitEncoding.Version, 0xFF, 0xFF]));
        Assert.Null(LimitEncoding.DecodeAnswer([]));
        Assert.Throws<InvalidDataException>(() => LimitEncoding.DecodeCommand([LimitEncoding.Version + 1]));
    }
}
