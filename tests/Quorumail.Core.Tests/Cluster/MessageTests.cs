using System.Buffers;
using System.Text;
using CsCheck;
using Quorumail.Core.Cluster;

namespace Quorumail.Core.Tests.Cluster;

public sealed class MessageTests
{
    private static readonly Gen<string> Name = Gen.Int[0, 2].Select(i => ((string[])["node1", "smtp-cluster-0", "a.b_c"])[i]);
    private static readonly Gen<long> Count = Gen.Long[0, long.MaxValue];

    [Fact]
    public void A_heartbeat_reads_as_the_guide_prints_it()
    {
        const string Json = """
            {
              "node_id": "node1",
              "role": "leader",
              "timestamp": 1234567890,
              "metadata": {
                "version": "v0.26.0",
                "uptime_seconds": 3600,
                "active_connections": 42,
                "messages_processed": 1500,
                "cpu_usage": 45.2,
                "memory_usage_mb": 128
              }
            }
            """;
        var expected = new Heartbeat("node1", NodeRole.Leader, 1234567890, new HeartbeatMetadata("v0.26.0", 3600, 42, 1500, 45.2, 128));

        Assert.Equal(expected, Heartbeat.Read(Utf8(Json)));
        Assert.Equal(Compact(Json), Text(expected.Write));
    }

    [Fact]
    public void A_state_update_reads_as_the_guide_prints_it()
    {
        const string Json = """{ "key": "rate_limit_192.168.1.100", "value": "45", "timestamp": 1234567890 }""";
        var expected = new StateUpdate("rate_limit_192.168.1.100", "45", 1234567890);

        Assert.Equal(expected, StateUpdate.Read(Utf8(Json)));
        Assert.Equal(Compact(Json), Text(expected.Write));
    }

    [Theory]
    [InlineData('k')]
    [InlineData('\u007F')]
    [InlineData('"')]
    public void A_key_is_as_long_as_what_it_says_not_as_it_is_written(char character)
    {
        var longest = new StateUpdate(new string(character, StateUpdate.KeyMax), "", 1);

        Assert.Equal(longest, StateUpdate.Read(Octets(longest.Write)));
        Assert.Null(StateUpdate.Read(Octets((longest with { Key = longest.Key + character }).Write)));
    }

    [Fact]
    public void A_deletion_says_so()
    {
        var deletion = new StateUpdate("k", "", 5, IsDeleted: true);

        Assert.Equal("""{"key":"k","value":"","timestamp":5,"deleted":true}""", Text(deletion.Write));
        Assert.Equal(deletion, StateUpdate.Read(Utf8("""{"key":"k","timestamp":5,"deleted":true}""")));
    }

    [Fact]
    public void Elections_votes_and_announcements_have_the_guides_names_and_a_term()
    {
        Assert.Equal(
            """{"candidate_id":"a","term":3,"timestamp":9,"last_log_index":7,"last_log_term":2,"pre_vote":true,"incarnation":4,"request":11}""",
            Text(new Election("a", 3, 9, 7, 2, IsPreVote: true, 4, 11).Write));
        Assert.Equal(
            """{"voter_id":"b","candidate_id":"a","granted":true,"term":3,"request":11,"incarnation":5}""",
            Text(new Vote("b", "a", IsGranted: true, 3, 11, 5).Write));
        Assert.Equal("""{"leader_id":"a","term":3}""", Text(new LeaderAnnounce("a", 3).Write));
    }

    [Fact]
    public void What_is_written_reads_back_the_same()
    {
        Gen.Select(Name, Gen.Enum<NodeRole>(), Count, Gen.String, Gen.Double[0, 6400]).Sample((name, role, count, version, cpu) =>
        {
            var metadata = new HeartbeatMetadata(Whole(version[..Math.Min(5, version.Length)]), count, count / 2, count / 3, Math.Round(cpu, 1), 5);
            var condition = new NodeCondition((NodeStatus)(count % 3), version.Length > 9 ? "slow" : "", count);
            var heartbeat = new Heartbeat(name, role, count, metadata) { Condition = count % 2 == 0 ? condition : null };
            return Heartbeat.Read(Octets(heartbeat.Write)) == heartbeat;
        });
        Gen.Select(Gen.String, Gen.String, Gen.Long).Sample((key, value, timestamp) =>
        {
            var update = new StateUpdate("k" + Whole(key), Whole(value), timestamp);
            return StateUpdate.Read(Octets(update.Write)) == update;
        });
        Gen.Select(Name, Count, Count, Gen.Bool, Gen.Int[0, int.MaxValue], Gen.Long).Sample((name, term, index, flag, incarnation, request) =>
        {
            var election = new Election(name, term, request, index, term / 2, flag, incarnation, request);
            var vote = new Vote(name, name + "x", flag, term, request, incarnation);
            var announce = new LeaderAnnounce(name, term);
            return Election.Read(Octets(election.Write)) == election
                && Vote.Read(Octets(vote.Write)) == vote
                && LeaderAnnounce.Read(Octets(announce.Write)) == announce;
        });
    }

    [Theory]
    [InlineData("""{"leader_id":"a","term":3,"more":{"deep":[1,{"x":null}]},"text":"\ud83d\ude00"}""")]
    [InlineData(""" { "term" : 3 , "extra" : [] , "leader_id" : "\u0061" } """)]
    public void Unknown_fields_are_ignored(string json) => Assert.Equal(new LeaderAnnounce("a", 3), LeaderAnnounce.Read(Utf8(json)));

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{}")]
    [InlineData("""{"leader_id":"a"}""")]
    [InlineData("""{"term":3}""")]
    [InlineData("""{"leader_id":"","term":3}""")]
    [InlineData("""{"leader_id":"a b","term":3}""")]
    [InlineData("""{"leader_id":"a\n","term":3}""")]
    [InlineData("""{"leader_id":1,"term":3}""")]
    [InlineData("""{"leader_id":["a"],"term":3}""")]
    [InlineData("""{"leader_id":"a","term":"3"}""")]
    [InlineData("""{"leader_id":"a","term":3.5}""")]
    [InlineData("""{"leader_id":"a","term":-1}""")]
    [InlineData("""{"leader_id":"a","term":9223372036854775808}""")]
    [InlineData("""{"leader_id":"a","term":true}""")]
    [InlineData("""{"leader_id":"a","term":{}}""")]
    [InlineData("""{"leader_id":"a","term":3,"term":4}""")]
    [InlineData("""{"leader_id":"a","term":3} x""")]
    [InlineData("""{"leader_id":"a","term":3}{}""")]
    [InlineData("""{"leader_id":"a","term":3,"x":[[[[[[[[[]]]]]]]]]}""")]
    [InlineData("""{"leader_id":"\ud800","term":3}""")]
    public void What_is_not_quite_a_message_is_none(string json) => Assert.Null(LeaderAnnounce.Read(Utf8(json)));

    [Fact]
    public void Octets_that_are_not_UTF8_are_no_message() =>
        Assert.Null(StateUpdate.Read([.. "{\"key\":\""u8, 0xff, .. "\",\"value\":\"\",\"timestamp\":1}"u8]));

    [Fact]
    public void A_name_is_bounded()
    {
        Assert.NotNull(LeaderAnnounce.Read(Utf8($$"""{"leader_id":"{{new string('a', NodeName.LengthMax)}}","term":3}""")));
        Assert.Null(LeaderAnnounce.Read(Utf8($$"""{"leader_id":"{{new string('a', NodeName.LengthMax + 1)}}","term":3}""")));
    }

    [Theory]
    [InlineData("king")]
    [InlineData("Leader")]
    [InlineData("")]
    public void A_role_is_one_of_three(string role) =>
        Assert.Null(Heartbeat.Read(Utf8("{\"node_id\":\"a\",\"timestamp\":1,\"metadata\":{},\"role\":\"" + role + "\"}")));

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    private static byte[] Octets(Action<IBufferWriter<byte>> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        write(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    private static string Text(Action<IBufferWriter<byte>> write) => Encoding.UTF8.GetString(Octets(write));

    // Half of a surrogate pair is no text.
    private static string Whole(string text) => string.Concat(text.Where(c => !char.IsSurrogate(c)));

    private static string Compact(string json) => string.Concat(json.Where(c => !char.IsWhiteSpace(c)));
}
