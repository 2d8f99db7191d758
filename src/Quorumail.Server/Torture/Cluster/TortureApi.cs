using System.Net.Http.Headers;
using System.Text.Json;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>Asks the nodes of a cluster about their queue. One that does not answer is passed over.</summary>
internal sealed class TortureApi : IDisposable
{
    private const int PageSize = 10_000;

    private readonly HttpClient _client = new() { Timeout = TimeSpan.FromSeconds(5) };

    public TortureApi(IReadOnlyList<Uri> addresses, string token)
    {
        Addresses = addresses;
        if (token.Length > 0)
        {
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
    }

    /// <summary>Whom it asks.</summary>
    public IReadOnlyList<Uri> Addresses { get; }

    /// <summary>Why the last question was not answered.</summary>
    public string LastFault { get; private set; } = "";

    /// <summary>Messages that wait for a domain, the most that any node tells; null: no node answers.</summary>
    public async Task<long?> QueuedAsync(string domain, CancellationToken token)
    {
        long? most = null;
        foreach (var address in Addresses)
        {
            if (await AskAsync(address, $"api/queue/domains?limit={PageSize}", token) is { } answer)
            {
                var total = answer.GetProperty("domains").EnumerateArray()
                    .Where(each => each.GetProperty("domain").GetString() == domain)
                    .Sum(each => each.GetProperty("total").GetInt64());
                most = Math.Max(most ?? 0, total);
            }
        }

        return most;
    }

    /// <summary>The deliveries that the nodes list as possibly doubled; null: no node answers.</summary>
    public async Task<IReadOnlyCollection<ListedSuspect>?> SuspectsAsync(CancellationToken token)
    {
        HashSet<ListedSuspect>? all = null;
        foreach (var address in Addresses)
        {
            // Without "after" on the first page: the first entry's number is 0.
            for (var page = $"api/queue/suspects?limit={PageSize}"; page is not null;)
            {
                if (await AskAsync(address, page, token) is not { } answer)
                {
                    break;
                }

                (all ??= []).UnionWith(answer.GetProperty("suspects").EnumerateArray().Select(ListedSuspect.Read));
                page = answer.TryGetProperty("next", out var after) && after.ValueKind == JsonValueKind.Number
                    ? $"api/queue/suspects?limit={PageSize}&after={after.GetRawText()}"
                    : null;
            }
        }

        return all;
    }

    /// <summary>Who leads, as the first node says that knows; null: nobody knows.</summary>
    public async Task<string?> LeaderAsync(CancellationToken token)
    {
        foreach (var address in Addresses)
        {
            if (await AskAsync(address, "api/cluster/status", token) is { } answer && answer.GetProperty("leader_id").GetString() is { } leader)
            {
                return leader;
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private async Task<JsonElement?> AskAsync(Uri address, string path, CancellationToken token)
    {
        try
        {
            using var response = await _client.GetAsync(new Uri(address, path), token);
            if (response.IsSuccessStatusCode)
            {
                return JsonElement.Parse(await response.Content.ReadAsByteArrayAsync(token));
            }

            LastFault = $"{address} answers {(int)response.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            LastFault = $"{address}: {e.Message}";
        }
        catch (JsonException)
        {
            LastFault = $"what answers at {address} is no Quorumail";
        }
        catch (TaskCanceledException) when (!token.IsCancellationRequested)
        {
            LastFault = $"{address} does not answer within {_client.Timeout.TotalSeconds} s";
        }

        return null;
    }
}
