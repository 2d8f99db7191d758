using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.CommandLine;

/// <summary>Asks the server that runs with this configuration.</summary>
internal sealed class AdministrationClient(HttpOptions options)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(12);

    /// <summary>Longer than the server gives itself for a change of the cluster.</summary>
    private static readonly TimeSpan ActionTimeout = TimeSpan.FromSeconds(65);

    /// <summary>Where the server is expected.</summary>
    public Uri Address => new UriBuilder("http", Reachable(options.BindAddress).ToString(), options.Port).Uri;

    /// <summary>Gets a path and hands the answer on; otherwise says on standard error what is wrong.</summary>
    public Task<int> AskAsync(string path, Action<JsonElement> write, CancellationToken token) =>
        SendAsync(HttpMethod.Get, path, null, write, token);

    /// <summary>Sends a request and hands the answer on; otherwise says on standard error what is wrong.</summary>
    /// <param name="method">GET, POST, PUT or DELETE.</param>
    /// <param name="path">With its query.</param>
    /// <param name="content">The body, as it is; null for none.</param>
    /// <param name="write">Shows the answer.</param>
    /// <param name="token">Ends the waiting.</param>
    public Task<int> SendAsync(HttpMethod method, string path, byte[]? content, Action<JsonElement> write, CancellationToken token) =>
        SendAsync(
            method,
            path,
            content,
            body =>
            {
                using var answer = JsonDocument.Parse(body);
                write(answer.RootElement);
            },
            token);

    /// <summary>Gets a path whose answer is no JSON, and hands its octets on.</summary>
    public Task<int> FetchAsync(string path, Action<byte[]> write, CancellationToken token) =>
        SendAsync(HttpMethod.Get, path, null, write, token);

    private async Task<int> SendAsync(HttpMethod method, string path, byte[]? content, Action<byte[]> write, CancellationToken token)
    {
        using var client = new HttpClient { BaseAddress = Address, Timeout = method == HttpMethod.Get ? Timeout : ActionTimeout };
        if (options.Token.Length > 0)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", options.Token);
        }

        try
        {
            using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
            request.Content = content is null ? null : new ByteArrayContent(content);
            using var response = await client.SendAsync(request, token);
            var body = await response.Content.ReadAsByteArrayAsync(token);
            if (response.IsSuccessStatusCode)
            {
                write(body);
                return ExitCode.Success;
            }

            using var answer = JsonDocument.Parse(body);
            var reason = answer.RootElement.TryGetProperty("error", out var error) ? error.GetString() : response.ReasonPhrase;
            return Complain($"the server at {Address} answered {(int)response.StatusCode}: {reason}{Aftermath(answer.RootElement)}");
        }
        catch (HttpRequestException exception)
        {
            return Complain($"no server answers at {Address} ({exception.Message.TrimEnd('.')}). Is it running with the same configuration ([http] bind_address and port)?");
        }
        catch (TaskCanceledException) when (!token.IsCancellationRequested)
        {
            return Complain($"the server at {Address} did not answer within {client.Timeout.TotalSeconds} s");
        }
        catch (JsonException)
        {
            return Complain($"what answers at {Address} is no Quorumail");
        }
    }

    /// <summary>What may have been done all the same.</summary>
    private static string Aftermath(JsonElement answer)
    {
        var text = answer.TryGetProperty("outcome", out var outcome) && outcome.ValueEquals("unknown") ? "; it may happen still" : "";
        return answer.TryGetProperty("matched", out var matched) && matched.GetInt64() > 0 ? $"{text}; before, {matched} messages were changed" : text;
    }

    private static int Complain(string text)
    {
        Console.Error.WriteLine($"smtp-server: {text}");
        return ExitCode.NoAnswer;
    }

    private static IPAddress Reachable(IPAddress address) =>
        address.Equals(IPAddress.Any) ? IPAddress.Loopback
        : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback
        : address;
}
