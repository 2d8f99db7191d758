using System.Net;
using System.Text.Json;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Tests.Http;

public sealed class HistoryEndpointsTests : IAsyncLifetime
{
    private QueueServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _server = await QueueServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_message_that_was_delivered_tells_of_every_attempt()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example", "eve@e.example");
        await _server.AttemptAsync(id, 0, RecipientOutcome.Deferred, "450 later");
        await _server.AttemptAsync(id, 1, RecipientOutcome.Delivered, "250 ok");
        var queued = await HistoryAsync(id);
        await _server.AttemptAsync(id, 0, RecipientOutcome.Delivered, "250 at last");
        var over = await HistoryAsync(id);

        Assert.True(queued.GetProperty("in_queue").GetBoolean());
        Assert.False(over.GetProperty("in_queue").GetBoolean());
        Assert.Equal("ann@a.example", over.GetProperty("from").GetString());
        Assert.Equal(
            ["attempt 1 bob@b.example deferred 450 later False", "attempt 1 eve@e.example delivered 250 ok False", "attempt 2 bob@b.example delivered 250 at last True"],
            over.GetProperty("events").EnumerateArray().Select(Line));
        Assert.Equal(2, queued.GetProperty("events").GetArrayLength());
    }

    [Fact]
    public async Task A_message_that_was_deleted_tells_by_what_words()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        await _server.DoAsync(HttpMethod.Delete, $"/api/queue/{id}?reason=spam");

        var last = Assert.Single((await HistoryAsync(id)).GetProperty("events").EnumerateArray());
        Assert.Equal(("deleted", "spam", true), (last.GetProperty("what").GetString(), last.GetProperty("reason").GetString(), last.GetProperty("is_last").GetBoolean()));
    }

    [Fact]
    public async Task A_message_whose_client_was_told_451_tells_that_it_was_withdrawn()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");
        Assert.True((await _server.Queue.ProposeAsync(new WithdrawCommand(id), Token)).IsAccepted);

        Assert.Equal("withdrawn", Assert.Single((await HistoryAsync(id)).GetProperty("events").EnumerateArray()).GetProperty("what").GetString());
    }

    [Fact]
    public async Task A_message_that_waits_for_its_first_attempt_has_no_events_and_an_unknown_one_is_not_found()
    {
        var id = await _server.EnqueueAsync("ann@a.example", "bob@b.example");

        Assert.Equal(0, (await HistoryAsync(id)).GetProperty("events").GetArrayLength());
        Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Get, $"/api/queue/{_server.Queue.NewId()}/history")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await _server.SendAsync(HttpMethod.Get, "/api/queue/none/history")).Status);
    }

    private static string Line(JsonElement step)
    {
        var recipient = Assert.Single(step.GetProperty("recipients").EnumerateArray());
        return string.Join(
            ' ',
            step.GetProperty("what").GetString(),
            step.GetProperty("attempt"),
            recipient.GetProperty("to").GetString(),
            recipient.GetProperty("outcome").GetString(),
            recipient.GetProperty("reply").GetString(),
            step.GetProperty("is_last"));
    }

    private Task<JsonElement> HistoryAsync(QueueId id) => _server.GetAsync($"/api/queue/{id}/history");
}
