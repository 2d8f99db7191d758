using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Quorumail.Server.Configuration;

namespace Quorumail.Server.CommandLine;

/// <summary>Asks the server that runs with this configuration.</summary>
internal sealed class AdministrationClient(HttpOptions options)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>Where the server is expected.</summary>
    public Uri Address => new UriBuilder("http", Reachable(options.BindAddress).ToString(), options.Port).Uri;

    /// <summary>Gets a path and hands the answer on; otherwise says on standard error what is wrong.</summary>
    public async Task<int> AskAsync(string path, Action<JsonElement> write, CancellationToken token)
    {
        using var client = new HttpClient { BaseAddress = Address, Timeout = Timeout };
        if (options.Token.Length > 0)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", options.Token);
        }

        try
        {
            using var response = await client.GetAsync(new Uri(path, UriKind.Relative), token);
            var body = await response.Content.ReadAsByteArrayAsync(token);
            using var answer = JsonDocument.Parse(body);
            if (response.IsSuccessStatusCode)
            {
                write(answer.RootElement);
                return ExitCode.Success;
            }

            var reason = answer.RootElement.TryGetProperty("error", out var error) ? error.GetString() : response.ReasonPhrase;
            return Complain($"the server at {Address} answered {(int)response.StatusCode}: {reason}");
        }
        catch (HttpRequestException exception)
        {
            return Complain($"no server answers at {Address} ({exception.Message.TrimEnd('.')}). Is it running with the same configuration ([http] bind_address and port)?");
        }
        catch (TaskCanceledException) when (!token.IsCancellationRequested)
        {
            return Complain($"the server at {Address} did not answer within {Timeout.TotalSeconds} s");
        }
        catch (JsonException)
        {
            return Complain($"what answers at {Address} is no Quorumail");
        }
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
