using System.Net;
using Quorumail.Cluster.Log;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;

namespace Quorumail.Server.Tests.Http;

public sealed class QueueActionsTests : IAsyncLifetime
{
    private QueueServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_message_is_held_released_requeued_and_deleted_and_each_answer_tells_whether_it_was_changed()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.AttemptAsync(id, 0, RecipientOutcome.Deferred, "450 later");

        foreach (var (action, first, second) in ((string, int, int)[])[("hold", 1, 0), ("release", 1, 0), ("requeue", 1, 0), ("retry", 0, 0)])
        {
            Assert.Equal(first, await MatchedAsync(HttpMethod.Post, $"/api/queue/{id}/{action}"));
            Assert.Equal(second, await MatchedAsync(HttpMethod.Post, $"/api/queue/{id}/{action}"));
        }

        Assert.True(_server.Queue.TryGet(id, out var message));
        Assert.True(message.Recipients[0].NextAttemptAt <= _server.Queue.ClusterTime);

        Assert.Equal(1, await MatchedAsync(HttpMethod.Delete, $"/api/queue/{id}?reason=spam"));
        Assert.Equal(0, _server.Queue.Count);
        var removal = (await _server.GetAsync("/api/queue/removals")).GetProperty("removals")[0];
        Assert.Equal((id.ToString(), "spam"), (removal.GetProperty("id").GetString(), removal.GetProperty("reason").GetString()));
        foreach (var action in (string[])["hold", "release", "requeue"])
        {
            Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Post, $"/api/queue/{id}/{action}")).Status);
        }

        Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Delete, $"/api/queue/{id}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Delete, "/api/queue/nonsense")).Status);
    }

    [Fact]
    public async Task A_filter_changes_what_it_means_and_nothing_else()
    {
        await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.EnqueueAsync("ann@a.example", "cat@c.example");
        await _server.EnqueueAsync("", "bob@b.example");

        Assert.Equal(2, await MatchedAsync(HttpMethod.Post, "/api/queue/hold?domain=b.example"));
        Assert.Equal(2, _server.Queue.Counts.Held);
        Assert.Equal(1, await MatchedAsync(HttpMethod.Post, "/api/queue/release?sender=<>"));
        Assert.Equal(1, await MatchedAsync(HttpMethod.Delete, "/api/queue?state=held"));
        Assert.Equal(0, await MatchedAsync(HttpMethod.Post, "/api/queue/requeue?age=1d"));
        Assert.Equal(2, _server.Queue.Count);
        Assert.Equal(2, await MatchedAsync(HttpMethod.Delete, "/api/queue?all=true"));
        Assert.Equal(0, _server.Queue.Count);
    }

    [Fact]
    public async Task What_was_held_while_it_was_delivered_is_released_with_all_that_is_held()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.EnqueueAsync("ann@a.example", "cat@c.example");
        Assert.True(_server.Queue.TryGet(id, out var message));
        await _server.Queue.ProposeAsync(new AttemptStartedCommand(id, message.Epoch, 1, [0]), TestContext.Current.CancellationToken);

        Assert.Equal(2, await MatchedAsync(HttpMethod.Post, "/api/queue/hold?all=true"));
        Assert.Equal(1, await MatchedAsync(HttpMethod.Post, "/api/queue/release?state=held&domain=b.example"));
        Assert.Equal(1, await MatchedAsync(HttpMethod.Post, "/api/queue/release?state=held"));

        Assert.Equal(0, await MatchedAsync(HttpMethod.Post, "/api/queue/release?all=true"));
    }

    [Fact]
    public async Task A_message_that_is_due_is_requeued_if_all_members_know_how()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        var administration = QueueAdministration.Of(_server.Queue);
        _server.Open(administration with { KnowRequeueOfDue = () => false });
        Assert.Equal(0, await MatchedAsync(HttpMethod.Post, $"/api/queue/{id}/requeue"));
        Assert.Equal(0, await MatchedAsync(HttpMethod.Post, "/api/queue/requeue?all=true"));

        _server.Open(administration);
        Assert.Equal(1, await MatchedAsync(HttpMethod.Post, "/api/queue/requeue?all=true"));
        Assert.Equal(0, await MatchedAsync(HttpMethod.Post, $"/api/queue/{id}/requeue"));
    }

    [Fact]
    public async Task What_operators_do_is_logged_and_each_deletion_is_told_and_counted()
    {
        var before = (Metrics.MessagesDeleted.Value, Metrics.RecipientsDeleted.Value);
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example", "cat@c.example");
        await _server.AttemptAsync(id, 0, RecipientOutcome.Delivered, "250 ok");
        var other = await _server.EnqueueAsync("", "dan@d.example");
        foreach (var (method, path) in ((HttpMethod, string)[])
            [
                (HttpMethod.Post, "/api/queue/hold?all=true"),
                (HttpMethod.Post, $"/api/queue/{other}/release"),
                (HttpMethod.Post, "/api/queue/requeue?domain=none.example&state=retry"),
                (HttpMethod.Post, "/api/queue/suspend?domain=b.example&reason=moving"),
                (HttpMethod.Post, "/api/queue/resume?domain=b.example"),
                (HttpMethod.Delete, $"/api/queue/{id}?reason=spam"),
                (HttpMethod.Delete, "/api/queue?sender=<>"),
            ])
        {
            await _server.DoAsync(method, path);
        }

        Assert.Equal(
            [
                "Information queue: an operator's Hold changed 2 messages (all=true)",
                $"Information queue: an operator's Release changed 1 messages (id={other})",
                "Information queue: an operator's Requeue changed 0 messages (domain=none.example state=retry)",
                "Information queue: an operator suspended domain b.example until resumed; reason: moving",
                "Information queue: an operator resumed domain b.example",
                $"Information queue: an operator's Delete changed 1 messages (id={id}); reason: spam",
                "Information queue: an operator's Delete changed 1 messages (sender=<>)",
            ],
            _server.Logs.Lines.Where(line => line.Contains("an operator", StringComparison.Ordinal)));
        var removed = _server.Logs.Lines.Where(line => line.StartsWith("Information mail: removed", StringComparison.Ordinal)).ToArray();
        Assert.Matches($"removed qid={id} from=ann@a.example nrcpt=1 doubt=0 delay=\\S+ reason=deleted: spam$", removed[0]);
        Assert.Matches($"removed qid={other} from= nrcpt=1 doubt=0 delay=\\S+ reason=deleted$", removed[1]);
        Assert.Equal(2, removed.Length);
        Assert.True(Metrics.MessagesDeleted.Value >= before.Item1 + 2);
        Assert.True(Metrics.RecipientsDeleted.Value >= before.Item2 + 2);
    }

    [Theory]
    [InlineData("")]
    [InlineData("?reason=why")]
    [InlineData("?sendr=ann@a.example")]
    [InlineData("?sender=")]
    [InlineData("?all=yes")]
    [InlineData("?all=true&domain=b.example")]
    [InlineData("?limit=1")]
    public async Task Without_a_condition_that_is_understood_nothing_is_deleted(string query)
    {
        await _server.EnqueueAsync("ann@a.example", "bob@b.example");

        Assert.Equal(HttpStatusCode.BadRequest, (await _server.SendAsync(HttpMethod.Delete, "/api/queue" + query)).Status);
        Assert.Equal(1, _server.Queue.Count);
    }

    [Fact]
    public async Task Commands_follow_each_other_until_no_message_matches_any_more_and_the_answer_is_their_sum()
    {
        var asked = new List<AdministerCommand>();
        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            Propose = (command, _) =>
            {
                asked.Add((AdministerCommand)command);
                return ValueTask.FromResult(new QueueProposal(ProposalOutcome.Applied, ApplyStatus.Accepted) { Matched = 10_000 / asked.Count, HasMore = asked.Count < 2 });
            },
        });

        var answer = await _server.DoAsync(HttpMethod.Post, "/api/queue/hold?domain=b.example");

        Assert.Equal(15_000, answer.GetProperty("matched").GetInt64());
        Assert.True(answer.GetProperty("complete").GetBoolean());
        Assert.Equal(2, asked.Count);
        Assert.All(asked, command => Assert.Equal((QueueAction.Hold, 10_000, "b.example"), (command.Action, command.Limit, command.Selection.Domain)));
    }

    [Fact]
    public async Task Commands_end_though_more_and_more_messages_match()
    {
        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            Propose = (_, _) => ValueTask.FromResult(new QueueProposal(ProposalOutcome.Applied, ApplyStatus.Accepted) { Matched = 10_000, HasMore = true }),
        });

        Assert.False((await _server.DoAsync(HttpMethod.Post, "/api/queue/requeue?all=true")).GetProperty("complete").GetBoolean());
    }

    [Fact]
    public async Task Destinations_and_senders_are_suspended_with_reason_and_expiry_until_they_are_resumed()
    {
        var suspended = await _server.DoAsync(HttpMethod.Post, "/api/queue/suspend?domain=B.example.&reason=they%20asked&ttl=1h");
        Assert.Equal(("domain", "b.example", "they asked"), (suspended.GetProperty("scope").GetString(), suspended.GetProperty("name").GetString(), suspended.GetProperty("reason").GetString()));
        var lasts = suspended.GetProperty("expires_at").GetDateTimeOffset() - suspended.GetProperty("since").GetDateTimeOffset();
        Assert.InRange(lasts, TimeSpan.FromMinutes(59), TimeSpan.FromHours(1));
        await _server.DoAsync(HttpMethod.Post, "/api/queue/suspend?sender=<>");
        Assert.Equal(
            ["b.example", ""],
            (await _server.GetAsync("/api/queue/suspensions")).GetProperty("suspensions").EnumerateArray().Select(s => s.GetProperty("name").GetString()!));

        await _server.DoAsync(HttpMethod.Post, "/api/queue/resume?domain=b.example");
        Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Post, "/api/queue/resume?domain=b.example")).Status);
        await _server.DoAsync(HttpMethod.Post, "/api/queue/resume?sender=<>");
        Assert.Equal(0, (await _server.GetAsync("/api/queue/suspensions")).GetProperty("suspensions").GetArrayLength());
    }

    [Theory]
    [InlineData("suspend")]
    [InlineData("suspend?domain=b.example&sender=a@a.example")]
    [InlineData("suspend?domain=.")]
    [InlineData("suspend?domain=b.example&ttl=soon")]
    [InlineData("suspend?domain=b.example&ttl=9999d")]
    [InlineData("suspend?domain=b.example&until=tomorrow")]
    [InlineData("resume")]
    [InlineData("resume?sender=")]
    public async Task What_is_no_suspension_is_refused(string call) =>
        Assert.Equal(HttpStatusCode.BadRequest, (await _server.SendAsync(HttpMethod.Post, "/api/queue/" + call)).Status);

    [Theory]
    [InlineData(ProposalOutcome.Refused, "refused")]
    [InlineData(ProposalOutcome.Unknown, "unknown")]
    public async Task Without_a_majority_nothing_is_promised_and_everything_can_be_looked_at(ProposalOutcome outcome, string told)
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        var calls = 0;
        _server.Open(QueueAdministration.Of(_server.Queue) with
        {
            Propose = (command, token) => ++calls == 1 && command is AdministerCommand { Selection.Ids: null }
                ? ValueTask.FromResult(new QueueProposal(ProposalOutcome.Applied, ApplyStatus.Accepted) { Matched = 7, HasMore = true })
                : ValueTask.FromResult(new QueueProposal(outcome, default, "no leader")),
        });

        foreach (var (method, path, matched) in ((HttpMethod, string, int?)[])
            [
                (HttpMethod.Delete, "/api/queue?all=true", 7),
                (HttpMethod.Delete, $"/api/queue/{id}", null),
                (HttpMethod.Post, $"/api/queue/{id}/hold", null),
                (HttpMethod.Post, "/api/queue/release?state=held", 0),
                (HttpMethod.Post, "/api/queue/suspend?domain=b.example", null),
                (HttpMethod.Post, "/api/queue/resume?domain=b.example", null),
            ])
        {
            var (status, body) = await _server.SendAsync(method, path);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            Assert.Equal((told, "no leader"), (body.GetProperty("outcome").GetString(), body.GetProperty("error").GetString()));
            Assert.Equal(matched, body.TryGetProperty("matched", out var count) ? count.GetInt32() : null);
        }

        await _server.GetAsync("/api/queue");
        await _server.GetAsync($"/api/queue/{id}");
        await _server.GetAsync("/api/queue/domains");
        await _server.GetAsync("/api/queue/suspensions");
    }

    private async Task<long> MatchedAsync(HttpMethod method, string path) =>
        (await _server.DoAsync(method, path)).GetProperty("matched").GetInt64();
}
