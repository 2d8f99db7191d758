using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Core.Smtp.Authentication;
using Quorumail.Server.CommandLine;
using Quorumail.Server.Configuration;
using Quorumail.Server.Http;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.CommandLine;

/// <summary>The program as it is called, in a process of its own, in an empty folder.</summary>
public sealed class CommandLineTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("quorumail-");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Config_check_shows_each_value_with_its_source_and_no_secret()
    {
        await File.WriteAllTextAsync(Path.Combine(_directory.FullName, "config.toml"), "[http]\ntoken = \"a-token-that-is-secret\"\n", Token);

        var (code, output, error) = await RunAsync("config check --port 2526", ("SMTP_SERVER_HOSTNAME", "mail.example"));

        Assert.Equal((0, ""), (code, error));
        Assert.Matches("(?m)^port = 2526 +# --port$", output);
        Assert.Matches("(?m)^hostname = \"mail.example\" +# environment SMTP_SERVER_HOSTNAME$", output);
        Assert.Matches("(?m)^token = \"\\*+\" +# config.toml:2$", output);
        Assert.Matches("(?m)^max_recipients = 1000 +# default$", output);
        Assert.DoesNotContain("is-secret", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("config check --port x")]
    [InlineData("--port x")]
    [InlineData("queue list --http-port x")]
    [InlineData("--config missing.toml")]
    [InlineData("--prot 25")]
    [InlineData("quue")]
    [InlineData("demo --nodes x")]
    [InlineData("torture --nodes 8")]
    [InlineData("torture --minutes 0")]
    [InlineData("torture --sessions x")]
    [InlineData("torture --sink 127.0.0.1:2600")]
    [InlineData("torture --node 127.0.0.1:25")]
    [InlineData("torture --node 127.0.0.1:25 --sink 127.0.0.1:2600 --nodes 3")]
    [InlineData("torture --node 127.0.0.1:25 --sink 127.0.0.1:2600 --break true")]
    [InlineData("torture --node 127.0.0.1 --sink 127.0.0.1:2600")]
    [InlineData("torture --node 127.0.0.1:25 --sink 127.0.0.1:2600 --api localhost")]
    public async Task What_is_wrong_with_configuration_or_command_line_ends_with_2_and_starts_nothing(string arguments)
    {
        var (code, _, error) = await RunAsync(arguments);

        Assert.Equal(2, code);
        Assert.NotEmpty(error);
        Assert.Empty(_directory.GetDirectories());
    }

    [Fact]
    public async Task Config_check_finds_what_would_keep_the_server_from_starting()
    {
        await File.WriteAllTextAsync(Path.Combine(_directory.FullName, "config.toml"), "[aliases]\n\"a@localhost\" = [\"b@localhost\"]\n\"b@localhost\" = [\"a@localhost\"]\n", Token);

        var (code, _, error) = await RunAsync("config check");

        Assert.Equal(2, code);
        Assert.Contains("a@localhost", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_log_on_the_disk_is_shown_to_people()
    {
        var missing = await RunAsync("log dump");
        Assert.Equal(ExitCode.CannotStart, missing.Code);
        Assert.Contains("there is no log in", missing.Error, StringComparison.Ordinal);

        var options = new MailQueueOptions { Database = new DatabaseOptions { Path = Path.Combine(_directory.FullName, "data") } };
        await using (var queue = await MailQueue.OpenAsync(options, TimeProvider.System, NullLoggerFactory.Instance, Token))
        {
            await queue.AbandonAsync(queue.NewId());
            await queue.ProposeAsync(new RemoveLimitCommand("messages-per-user"), Token);
        }

        var (code, output, _) = await RunAsync("log dump");

        Assert.Equal(0, code);
        Assert.Contains("OwnerRestartedCommand", output, StringComparison.Ordinal);
        Assert.Contains("RemoveLimitCommand { Limit = messages-per-user }", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_server_the_queue_commands_say_where_they_looked()
    {
        var (code, output, error) = await RunAsync("queue suspects --http-port 1");

        Assert.Equal((3, ""), (code, output));
        Assert.Contains("no server answers at http://127.0.0.1:1/", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Suspects_are_shown_as_a_table_whose_cells_cannot_steer_the_terminal_and_as_json()
    {
        var status = new ServerStatus(TimeProvider.System);
        var id = QueueId.Create(1_700_000_000_000, 7);
        var suspect = new Suspect(id, "bob@example.org", 3, SuspectReason.NoReplyAfterDot, 1_700_000_000_000, "lost\u001b[31m");
        status.Open(new QueueView(() => default, () => 0, () => 0)
        {
            Administration = QueueAdministration.Empty with { Suspects = (_, _) => [new ListedSuspect(1, suspect)] },
        });
        await using var server = await HttpServer.StartAsync(
            new HttpOptions { Port = 0, Token = "0123456789abcdef" }, status, NullLoggerFactory.Instance, Token);
        var call = $"queue suspects --http-port {server.EndPoint.Port}";

        var refused = await RunAsync(call);
        var table = await RunAsync(call, ("SMTP_HTTP_TOKEN", "0123456789abcdef"));
        var json = await RunAsync($"{call} --json", ("SMTP_HTTP_TOKEN", "0123456789abcdef"));

        Assert.Equal(3, refused.Code);
        Assert.Contains("401", refused.Error, StringComparison.Ordinal);
        Assert.Equal(0, table.Code);
        Assert.Matches($"{id} +bob@example.org +3 +no-reply-after-dot +2023-11-14 22:13:20Z +lost", table.Output);
        Assert.DoesNotContain('\u001b', table.Output);
        Assert.Equal(0, json.Code);
        Assert.Contains("\"reason\": \"no-reply-after-dot\"", json.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Password_prints_a_hash_that_fits()
    {
        var (code, output, _) = await RunAsync("password", input: "correct horse\n");

        Assert.Equal(0, code);
        Assert.True(PasswordHash.TryParse(output.Trim(), out var hash));
        Assert.True(hash!.Verify("correct horse"));
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private Task<(int Code, string Output, string Error)> RunAsync(string arguments, params (string Name, string Value)[] environment) =>
        RunAsync(arguments, "", environment);

    private Task<(int Code, string Output, string Error)> RunAsync(
        string arguments, string input, params (string Name, string Value)[] environment) =>
        ServerProgram.RunAsync(_directory.FullName, arguments, input, Token, environment);
}
