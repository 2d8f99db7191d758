using Quorumail.Cluster.Log;
using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;
using Quorumail.Server.Tests.Http;

namespace Quorumail.Server.Tests.CommandLine;

/// <summary><c>smtp-server queue</c>, in a process of its own, against a server in this one.</summary>
public sealed class QueueCommandTests : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("quorumail-");
    private QueueServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync("0123456789abcdef");

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public async Task Messages_are_listed_by_conditions_shown_and_counted()
    {
        var first = await _server.EnqueueAsync("ann@a.example", "bob@b.example", "cat@c.example");
        var second = await _server.EnqueueAsync("", "dan@d.example");
        await _server.AttemptAsync(first, 0, RecipientOutcome.Deferred, "450 later");

        var list = await RunAsync("list");
        Assert.Equal((0, ""), (list.Code, list.Error));
        Assert.Contains("2 messages in the queue: 1 pending, 0 in delivery, 1 waiting to be tried again, 0 held", list.Output, StringComparison.Ordinal);
        Assert.Matches($"{first} +retry +[0-9]+[sm] +1 +in [0-9]+m +<ann@a.example> +<bob@b.example> +450 later", list.Output);
        var bounces = await RunAsync("list --sender <>");
        Assert.Contains(second.ToString(), bounces.Output, StringComparison.Ordinal);
        Assert.Contains("matching: 1\n", bounces.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("matching", list.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(first.ToString(), bounces.Output, StringComparison.Ordinal);
        Assert.Contains($"There are more: --after {first}", (await RunAsync("list --limit 1")).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("ann@a.example", (await RunAsync($"list --after {first}")).Output, StringComparison.Ordinal);
        Assert.Contains("\"messages\": []", (await RunAsync("list --state held --json")).Output, StringComparison.Ordinal);

        var show = await RunAsync($"show {first}");
        Assert.Contains("on the disks of node1", show.Output, StringComparison.Ordinal);
        Assert.Matches("<bob@b.example> +retry +1 .*mx.example.* +4.2.0 +450 later", show.Output);
        Assert.Equal(3, (await RunAsync("show 0000000000000000")).Code);
        Assert.Matches("b.example +1 +0 +0 +1 +0", (await RunAsync("domains")).Output);
    }

    [Fact]
    public async Task What_became_of_a_message_is_told_when_it_has_left_the_queue()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.AttemptAsync(id, 0, RecipientOutcome.Bounced, "550 \u001b[2Jno");

        var (code, output, error) = await RunAsync($"history {id}");
        Assert.Equal((0, ""), (code, error));
        Assert.Matches(
            $"^{id} from <ann@a.example>, received [^\n]+\n[^\n]+ attempt 1 by node1\n    <bob@b.example> bounced by mx.example[^\n]+: 4.2.0 550 \\?\\[2Jno[^\n]*\nIt has left the queue.\n$",
            output);
        Assert.Equal(3, (await RunAsync("history 0000000000000000")).Code);
    }

    [Fact]
    public async Task Each_line_tells_the_state_that_is_asked_for_and_why_the_message_waits()
    {
        var held = await _server.EnqueueAsync("ann@a.example", "bob@held.example");
        var suspended = await _server.EnqueueAsync("ann@a.example", "bob@suspended.example");
        var blocked = await _server.EnqueueAsync("ann@a.example", "bob@down.example");
        await _server.AttemptAsync(held, 0, RecipientOutcome.Deferred, "450 later");
        await RunAsync($"hold {held}");
        await RunAsync("suspend --domain suspended.example --reason moving");
        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            RestOf = address => address.EndsWith("down.example", StringComparison.Ordinal)
                ? new DestinationRest(_server.Queue.ClusterTime + 600_500, new DeliveryReply(DeliveryVerdict.Temporary, "no route", "4.4.1", ""))
                : null,
        });

        Assert.Matches($"{held} +held +[0-9]+[sm] +1 +<ann@a.example> +<bob@held.example> +held by an operator; 450 later", (await RunAsync("list --state held")).Output);
        var list = (await RunAsync("list --state pending")).Output;
        Assert.Matches($"{suspended} +suspended +[0-9]+[sm] +0 +<ann@a.example> +<bob@suspended.example> +the destination is suspended: moving", list);
        Assert.Matches($"{blocked} +pending +[0-9]+[sm] +0 +in [0-9]+m +<ann@a.example> +<bob@down.example> +can't be reached: no route", list);
        Assert.Matches("suspended.example +1 +1 +0 +0 +0 +the destination is suspended: moving", (await RunAsync("domains")).Output);
    }

    [Fact]
    public async Task A_list_that_ends_before_all_is_told_says_so_and_where_it_goes_on()
    {
        foreach (var domain in (string[])["a.example", "b.example"])
        {
            await _server.EnqueueAsync("ann@a.example", "bob@" + domain);
            await RunAsync($"suspend --domain {domain}");
        }

        Assert.Matches("^domain .*\na.example .*\nThere are more, 2 domains in all: --after 1\n$", (await RunAsync("domains --limit 1")).Output);
        Assert.Matches("^domain .*\nb.example .*\n$", (await RunAsync("domains --limit 1 --after 1")).Output);
        Assert.Contains("There are more, 2 suspensions in all: --after 1", (await RunAsync("suspensions --limit 1")).Output, StringComparison.Ordinal);
        await RunAsync("delete --all --yes");
        var latest = (await RunAsync("removals --limit 1")).Output;
        Assert.Contains("There are more, 2 removals in all: --after 1", latest, StringComparison.Ordinal);
        Assert.DoesNotContain("There are more", (await RunAsync("removals --limit 1 --after 1")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_majority_the_list_says_of_when_it_is()
    {
        _server.Status.Open(new ScriptedCluster { HasQuorum = false });
        await _server.EnqueueAsync("ann@a.example", "bob@b.example");

        Assert.Matches("^This node has no majority: it shows what it knew at \\S+ \\S+, cluster time.\n1 messages", (await RunAsync("list")).Output);
    }

    [Fact]
    public async Task Suspects_that_found_no_room_are_counted()
    {
        _server.Open(QueueAdministration.Of(_server.Queue) with { SuspectCounts = () => (100_000, 7) });

        Assert.Equal((0, "7 more were dropped, the oldest, because the list was full.\nNo delivery is in doubt.\n", ""), await RunAsync("suspects"));
    }

    [Fact]
    public async Task Messages_are_changed_by_id_and_by_conditions()
    {
        var first = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        var second = await _server.EnqueueAsync("ann@a.example", "cat@c.example");

        Assert.Equal((0, $"{first} held\n{second} held\n", ""), await RunAsync($"hold {first} {second}"));
        Assert.Equal((0, $"{first} nothing to do\n", ""), await RunAsync($"hold {first}"));
        Assert.Equal((0, "1 messages released\n", ""), await RunAsync("release --domain c.example"));
        Assert.Equal((0, "2 messages requeued\n", ""), await RunAsync("requeue --all"));
        var missing = await RunAsync($"requeue 0000000000000000 {first}");
        Assert.Equal((3, $"{first} nothing to do\n"), (missing.Code, missing.Output));
        Assert.Contains("404", missing.Error, StringComparison.Ordinal);

        Assert.Equal((0, $"{second} deleted\n", ""), await RunAsync($"delete {second} --reason spam"));
        Assert.Matches($"{second} +<ann@a.example> +1 +0 +\\S+ \\S+ +spam", (await RunAsync("removals")).Output);
    }

    [Fact]
    public async Task Deleting_by_conditions_asks_first()
    {
        await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.EnqueueAsync("ann@a.example", "cat@c.example");

        var declined = await RunAsync("delete --domain c.example", "n\n");
        Assert.Equal((2, ""), (declined.Code, declined.Output));
        Assert.Contains("Delete 1 message for good?", declined.Error, StringComparison.Ordinal);
        Assert.Equal(2, (await RunAsync("delete --all")).Code);
        Assert.Equal(2, _server.Queue.Count);

        Assert.Equal("1 messages deleted\n", (await RunAsync("delete --domain c.example", "y\n")).Output);
        Assert.Equal((0, "1 messages deleted\n", ""), await RunAsync("delete --sender ann@a.example --yes"));
        Assert.Equal(0, _server.Queue.Count);
    }

    [Fact]
    public async Task Destinations_and_senders_are_suspended_and_resumed()
    {
        Assert.Matches("^domain b.example is suspended until \\S+ \\S+\n$", (await RunAsync("suspend --domain B.example --reason asked --ttl 2h")).Output);
        Assert.Equal((0, "sender <> is suspended\n", ""), await RunAsync("suspend --sender <>"));
        var list = (await RunAsync("suspensions")).Output;
        Assert.Matches("domain +b.example +\\S+ \\S+ +\\S+ \\S+ +asked", list);
        Assert.Matches("sender +<>", list);

        Assert.Equal((0, "b.example is resumed\n", ""), await RunAsync("resume --domain b.example"));
        Assert.Equal(3, (await RunAsync("resume --domain b.example")).Code);
        Assert.Equal((0, "<> is resumed\n", ""), await RunAsync("resume --sender <>"));
        Assert.Equal((0, "Nothing is suspended.\n", ""), await RunAsync("suspensions"));
    }

    [Theory]
    [InlineData("hold")]
    [InlineData("delete --yes")]
    [InlineData("delete 0000000000000000 --domain b.example --yes")]
    [InlineData("delete --all --domain b.example --yes")]
    [InlineData("list --state lost")]
    [InlineData("list --age old")]
    [InlineData("suspend")]
    [InlineData("suspend --domain a --sender b@c")]
    [InlineData("suspend --domain a --ttl soon")]
    [InlineData("show")]
    [InlineData("show suspects")]
    [InlineData("show domains")]
    [InlineData("hold suspects")]
    [InlineData("delete suspects")]
    public async Task A_wrong_call_ends_with_2_and_changes_nothing(string call)
    {
        await _server.EnqueueAsync("ann@a.example", "bob@b.example");

        var (code, _, error) = await RunAsync(call);

        Assert.Equal(2, code);
        Assert.NotEmpty(error);
        Assert.Equal((1, 0), (_server.Queue.Count, _server.Queue.Counts.Held));
    }

    [Fact]
    public async Task Without_a_majority_the_operator_is_told_what_may_have_happened()
    {
        var calls = 0;
        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            Propose = (_, _) => ValueTask.FromResult(
                ++calls == 1
                    ? new QueueProposal(ProposalOutcome.Applied, ApplyStatus.Accepted) { Matched = 7, HasMore = true }
                    : new QueueProposal(ProposalOutcome.Unknown, default, "no leader")),
        });

        var (code, output, error) = await RunAsync("hold --all");

        Assert.Equal((3, ""), (code, output));
        Assert.Contains("answered 503: no leader; it may happen still; before, 7 messages were changed", error, StringComparison.Ordinal);
    }

    private Task<(int Code, string Output, string Error)> RunAsync(string arguments, string input = "") => ServerProgram.RunAsync(
        _directory.FullName, $"queue {arguments} --http-port {_server.Port}", input, Token, ("SMTP_HTTP_TOKEN", "0123456789abcdef"));
}
