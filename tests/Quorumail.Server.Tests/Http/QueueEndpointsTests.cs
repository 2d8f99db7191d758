using System.Net;
using System.Text.Json;
using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;

namespace Quorumail.Server.Tests.Http;

public sealed class QueueEndpointsTests : IAsyncLifetime
{
    private QueueServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_list_shows_what_every_condition_lets_through_and_the_counts_of_all()
    {
        var first = (await _server.EnqueueAsync("ann@a.example", "bob@b.example", "cat@c.example")).ToString();
        var second = (await _server.EnqueueAsync("", "bob@b.example")).ToString();
        var third = await _server.EnqueueAsync("ann@a.example", "dan@c.example");
        await _server.AttemptAsync(third, 0, RecipientOutcome.Deferred, "450 later");
        await _server.DoAsync(HttpMethod.Post, $"/api/queue/{second}/hold");

        foreach (var (query, expected) in ((string, string[])[])
            [
                ("", [first, second, third.ToString()]),
                ("?sender=ANN@a.example", [first, third.ToString()]),
                ("?sender=<>", [second]),
                ("?recipient=<bob@B.example>", [first, second]),
                ("?domain=c.example.", [first, third.ToString()]),
                ("?domain=c.example&sender=ann@a.example&state=retry", [third.ToString()]),
                ("?state=pending", [first]),
                ("?status=held", [second]),
                ("?state=processing", []),
                ("?age=1h", []),
                ("?age=1ms&domain=b.example", [first, second]),
            ])
        {
            var answer = await _server.GetAsync("/api/queue" + query);
            Assert.Equal(expected, Ids(answer));
            Assert.Equal(expected.Length, Number(answer, "matched"));
        }

        var all = await _server.GetAsync("/api/queue");
        Assert.Equal(
            (3, 1, 0, 1, 1),
            (Number(all, "total"), Number(all, "pending"), Number(all, "processing"), Number(all, "retry"), Number(all, "held")));
        var message = all.GetProperty("messages")[2];
        Assert.Equal(("retry", 1, "450 later", "dan@c.example"), (Text(message, "status"), Number(message, "attempts"), Text(message, "last_error"), Text(message, "to")));
        Assert.True(message.GetProperty("next_retry_at").GetDateTimeOffset() > message.GetProperty("created_at").GetDateTimeOffset());
    }

    [Fact]
    public async Task A_list_goes_on_where_its_last_page_ended()
    {
        var ids = new List<string>();
        for (var i = 0; i < 5; i++)
        {
            ids.Add((await _server.EnqueueAsync("a@a.example", "b@b.example")).ToString());
        }

        var first = await _server.GetAsync("/api/queue?limit=2");
        Assert.Equal(ids[..2], Ids(first));
        Assert.Equal(ids[1], Text(first, "next"));
        var last = await _server.GetAsync($"/api/queue?limit=3&after={ids[1]}");
        Assert.Equal(ids[2..], Ids(last));
        Assert.Equal((5, 5), (Number(first, "matched"), Number(last, "matched")));
        Assert.Null(Text(last, "next"));
        Assert.Equal(ids[1..4], Ids(await _server.GetAsync("/api/queue?offset=1&limit=3")));
        Assert.Empty(Ids(await _server.GetAsync("/api/queue?offset=7&limit=3")));
    }

    [Theory]
    [InlineData("?limit=0")]
    [InlineData("?offset=-1")]
    [InlineData("?after=x")]
    [InlineData("?sendr=a@a.example")]
    [InlineData("?sender=")]
    [InlineData("?domain=a&domain=b")]
    [InlineData("?state=lost")]
    [InlineData("?state=held&status=held")]
    [InlineData("?age=old")]
    [InlineData("/suspects?after=x")]
    [InlineData("/suspects?domain=b.example")]
    [InlineData("/domains?domain=b.example")]
    [InlineData("/removals?limit=1&limit=2")]
    [InlineData("/suspensions?offset=1")]
    public async Task What_can_not_be_meant_is_refused(string query)
    {
        var (status, body) = await _server.SendAsync(HttpMethod.Get, "/api/queue" + query);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.NotEmpty(Text(body, "error")!);
    }

    [Fact]
    public async Task A_message_is_shown_with_its_recipients_attempts_holders_and_owner()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example", "cat@c.example");
        await _server.AttemptAsync(id, 0, RecipientOutcome.Delivered, "250 ok");
        await _server.AttemptAsync(id, 1, RecipientOutcome.Deferred, "450 later");
        await _server.DoAsync(HttpMethod.Post, "/api/queue/suspend?domain=C.example");

        var message = await _server.GetAsync($"/api/queue/{id}");

        Assert.Equal(("ann@a.example", "cat@c.example", "node1", "450 later"), (Text(message, "from"), Text(message, "to"), Text(message, "owner"), Text(message, "last_error")));
        Assert.Equal("node1", Text(message.GetProperty("holders")[0], "node"));
        Assert.Equal("eight-bit", message.GetProperty("traits")[0].GetString());
        var (bob, cat) = (message.GetProperty("recipients")[0], message.GetProperty("recipients")[1]);
        Assert.Equal(("delivered", 1, null, "250 ok"), (Text(bob, "status"), Number(bob, "attempts"), Text(bob, "last_error"), Text(bob, "last_reply")));
        Assert.Equal(("queued", "deferred", "4.2.0", "mx.example[192.0.2.1]:25"), (Text(cat, "status"), Text(cat, "last_outcome"), Text(cat, "last_status"), Text(cat, "next_hop")));
        Assert.False(bob.GetProperty("suspended").GetBoolean());
        Assert.True(cat.GetProperty("suspended").GetBoolean());

        foreach (var unknown in (string[])["0000000000000000", "no-id"])
        {
            Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Get, $"/api/queue/{unknown}")).Status);
        }
    }

    [Fact]
    public async Task A_list_shows_some_recipients_of_a_message_and_the_message_itself_all()
    {
        var id = await _server.EnqueueAsync("a@a.example", [.. Enumerable.Range(0, 150).Select(i => $"r{i}@b.example")]);

        var listed = (await _server.GetAsync("/api/queue")).GetProperty("messages")[0];

        Assert.Equal((150, 100), (Number(listed, "recipient_count"), listed.GetProperty("recipients").GetArrayLength()));
        Assert.Equal(150, (await _server.GetAsync($"/api/queue/{id}")).GetProperty("recipients").GetArrayLength());
    }

    [Fact]
    public async Task Messages_are_counted_by_domain_and_state()
    {
        await _server.EnqueueAsync("a@a.example", "x@b.example", "y@b.example", "z@c.example");
        var other = await _server.EnqueueAsync("a@a.example", "x@b.example");
        await _server.DoAsync(HttpMethod.Post, $"/api/queue/{other}/hold");

        var domains = (await _server.GetAsync("/api/queue/domains")).GetProperty("domains");

        Assert.Equal(("b.example", 2, 1, 1), (Text(domains[0], "domain"), Number(domains[0], "total"), Number(domains[0], "pending"), Number(domains[0], "held")));
        Assert.Equal(("c.example", 1), (Text(domains[1], "domain"), Number(domains[1], "total")));
        Assert.Equal(1, (await _server.GetAsync("/api/queue/domains?limit=1")).GetProperty("domains").GetArrayLength());
    }

    [Fact]
    public async Task Suspects_are_listed_a_page_at_a_time()
    {
        for (var i = 0; i < 3; i++)
        {
            var id = await _server.EnqueueAsync("a@a.example", $"r{i}@b.example");
            await _server.AttemptAsync(id, 0, RecipientOutcome.InDoubt, "no reply");
        }

        var first = await _server.GetAsync("/api/queue/suspects?limit=2");
        Assert.Equal(2, first.GetProperty("suspects").GetArrayLength());
        var rest = await _server.GetAsync($"/api/queue/suspects?limit=2&after={Number(first, "next")}");
        Assert.Equal("r2@b.example", Text(Assert.Single(rest.GetProperty("suspects").EnumerateArray()), "recipient"));
        Assert.Null(Text(rest, "next"));
    }

    [Fact]
    public async Task Domains_suspensions_and_removals_are_listed_a_page_at_a_time_with_their_number()
    {
        foreach (var name in (string[])["a", "b", "c"])
        {
            await _server.EnqueueAsync("x@x.example", $"r@{name}.example");
            await _server.DoAsync(HttpMethod.Post, $"/api/queue/suspend?domain={name}.example");
        }

        Assert.Equal(["a.example", "b.example", "c.example"], await PagesAsync("domains", "domain"));
        Assert.Equal(["a.example", "b.example", "c.example"], await PagesAsync("suspensions", "name"));
        await _server.DoAsync(HttpMethod.Delete, "/api/queue?domain=b.example&reason=first");
        await _server.DoAsync(HttpMethod.Delete, "/api/queue?domain=a.example&reason=second");
        await _server.DoAsync(HttpMethod.Delete, "/api/queue?all=true&reason=third");
        Assert.Equal(["third", "second", "first"], await PagesAsync("removals", "reason"));
    }

    [Fact]
    public async Task A_recipient_is_shown_with_the_reason_why_it_waits()
    {
        var id = await _server.EnqueueAsync("a@a.example", "sus@b.example", "down@c.example", "limit@d.example", "later@e.example", "turn@f.example");
        await _server.AttemptAsync(id, 3, RecipientOutcome.Deferred, "450 later");
        await _server.DoAsync(HttpMethod.Post, "/api/queue/suspend?domain=b.example&reason=moving");
        var now = _server.Queue.ClusterTime;
        var administration = QueueAdministration.Of(_server.Queue) with
        {
            RestOf = address => address[..1] switch
            {
                "d" => new DestinationRest(now + 60_000, new DeliveryReply(DeliveryVerdict.Temporary, "connection\nrefused", "4.4.1", "")),
                "l" => new DestinationRest(now + 60_000, null),
                _ => null,
            },
        };
        _server.Open(administration);
        Assert.Equal(
            [
                "resume : the destination is suspended: moving",
                "destination 60: can't be reached: connection refused",
                "limit 60: a limit of the destination is used up",
                "retry 3600: ",
                "turn : ",
            ],
            await ReasonsAsync());

        _server.Open(administration with { IsDown = node => node == "node1" });
        Assert.Equal("node : node1 is down, and no node that is up has a copy", (await ReasonsAsync())[4]);
        _server.Open(administration with { NodeId = "node2" });
        Assert.Equal("turn : node1 delivers it: ask there", (await ReasonsAsync())[4]);
        await _server.DoAsync(HttpMethod.Post, $"/api/queue/{id}/hold");
        Assert.All(await ReasonsAsync(), reason => Assert.Equal("release : held by an operator", reason));

        async Task<string[]> ReasonsAsync()
        {
            var listed = (await _server.GetAsync("/api/queue")).GetProperty("messages")[0].GetProperty("recipients").EnumerateArray();
            var shown = (await _server.GetAsync($"/api/queue/{id}")).GetProperty("recipients").EnumerateArray();
            Assert.Equal(shown.Select(Describe), listed.Select(Describe));
            return [.. listed.Select(Describe)];
        }

        string Describe(JsonElement recipient) =>
            $"{Text(recipient, "waits_for")} {SecondsTo(recipient)}: {Text(recipient, "waits_because")}";

        string SecondsTo(JsonElement recipient) => recipient.GetProperty("waits_until") is { ValueKind: JsonValueKind.String } until
            ? $"{Math.Round((until.GetDateTimeOffset() - DateTimeOffset.FromUnixTimeMilliseconds(now)).TotalSeconds / 60) * 60}" : "";
    }

    [Fact]
    public async Task A_view_says_whether_it_is_of_now()
    {
        await _server.EnqueueAsync("a@a.example", "b@b.example");
        var before = _server.Queue.ClusterTime;
        var now = await _server.GetAsync("/api/queue");
        Assert.True(now.GetProperty("quorum").GetBoolean());
        Assert.True(now.GetProperty("as_of").GetDateTimeOffset().ToUnixTimeMilliseconds() >= before);

        _server.Status.Open(new ScriptedCluster { HasQuorum = false });
        _server.Open(QueueAdministration.Of(_server.Queue) with { AppliedAt = () => 5000 });
        var past = await _server.GetAsync("/api/queue");
        Assert.False(past.GetProperty("quorum").GetBoolean());
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(5000), past.GetProperty("as_of").GetDateTimeOffset());
        Assert.InRange(_server.Queue.AppliedAt, 1, _server.Queue.ClusterTime);
    }

    [Fact]
    public async Task Suspects_that_found_no_room_are_told()
    {
        _server.Open(QueueAdministration.Of(_server.Queue) with { SuspectCounts = () => (100_000, 7) });

        var answer = await _server.GetAsync("/api/queue/suspects");

        Assert.Equal((100_000, 7), (Number(answer, "total"), Number(answer, "overflowed")));
    }

    private async Task<string[]> PagesAsync(string list, string name)
    {
        var found = new List<string>();
        for (var after = ""; ;)
        {
            var page = await _server.GetAsync($"/api/queue/{list}?limit=2{after}");
            Assert.Equal(3, Number(page, "total"));
            found.AddRange(page.GetProperty(list).EnumerateArray().Select(item => Text(item, name)!));
            if (page.GetProperty("next").ValueKind == JsonValueKind.Null)
            {
                return [.. found];
            }

            after = $"&after={Number(page, "next")}";
        }
    }

    private static string[] Ids(JsonElement answer) =>
        [.. answer.GetProperty("messages").EnumerateArray().Select(message => Text(message, "id")!)];

    private static string? Text(JsonElement element, string name) =>
        element.GetProperty(name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    private static int Number(JsonElement element, string name) => element.GetProperty(name).GetInt32();
}
