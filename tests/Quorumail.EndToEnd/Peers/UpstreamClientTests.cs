using System.Globalization;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Peers;

/// <summary>Mail programs that people use hand mail to Quorumail, and see its refusals.</summary>
public sealed class UpstreamClientTests
{
    private const string To = "reader@elsewhere.example";
    private const string Stranger = "nobody@mail.example.test";
    private const string Body = "First line\n.begins with a dot\n.\nGrüße\n";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task Swaks_sends_a_message_and_sees_a_refusal() => CheckAsync("swaks", (server, to, file) =>
        (PeerPrograms.Locate("swaks"), ["--server", "127.0.0.1", "--port", Port(server), "--helo", "client.example",
            "--from", "writer@client.example", "--to", to, "--header", "Subject: by swaks", "--body", "@" + file, "--pipeline"]));

    [Fact]
    public Task Curl_sends_a_message_and_sees_a_refusal() => CheckAsync("curl", (server, to, file) =>
        ("curl", ["--silent", "--show-error", $"smtp://127.0.0.1:{Port(server)}/client.example", "--mail-from", "writer@client.example",
            "--mail-rcpt", to, "--upload-file", file + ".mail", "--crlf"]));

    [Fact]
    public Task Msmtp_sends_a_message_and_sees_a_refusal() => CheckAsync("msmtp", (server, to, file) =>
        ("/bin/sh", ["-c", "exec \"$0\" \"$@\" < " + file + ".mail", PeerPrograms.Locate("msmtp"), "--host=127.0.0.1",
            "--port=" + Port(server), "--file=/dev/null", "--from=writer@client.example", "--tls=off", "--auth=off", to]));

    [Fact]
    public Task Nodemailer_sends_a_message_and_sees_a_refusal()
    {
        const string Script = """
            const [port, to, file] = process.argv.slice(1);
            const transport = require(process.env.NODEMAILER).createTransport({ host: '127.0.0.1', port: Number(port), secure: false });
            const raw = require('fs').readFileSync(file + '.mail');
            transport.sendMail({ envelope: { from: 'writer@client.example', to: [to] }, raw })
              .then(info => console.log(info.response), error => { console.error(error.response || error); process.exit(1); });
            """;
        return CheckAsync(
            "nodemailer",
            (server, to, file) => ("node", ["-e", Script, Port(server), to, file]),
            new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["NODEMAILER"] = Path.Combine(PeerPrograms.NodeDirectory, "node_modules", "nodemailer"),
            });
    }

    [Fact]
    public Task Python_smtplib_sends_a_message_and_sees_a_refusal()
    {
        const string Script = """
            import smtplib, sys
            port, to, file = sys.argv[1:]
            with smtplib.SMTP('127.0.0.1', int(port), local_hostname='client.example') as server:
                server.ehlo()
                assert server.has_extn('size') and server.has_extn('8bitmime') and server.has_extn('dsn')
                server.sendmail('writer@client.example', [to], open(file + '.mail', 'rb').read().replace(b'\n', b'\r\n'),
                                mail_options=['BODY=8BITMIME'], rcpt_options=['NOTIFY=FAILURE'])
            """;
        return CheckAsync("python", (server, to, file) => ("python3", ["-c", Script, Port(server), to, file]));
    }

    private static string Port(ServerProcess server) => server.SmtpPort.ToString(CultureInfo.InvariantCulture);

    private static async Task CheckAsync(
        string peer,
        Func<ServerProcess, string, string, (string Program, string[] Arguments)> command,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var token = TestContext.Current.CancellationToken;
        await PeerPrograms.RequireAsync(peer, token);
        using var directory = new TemporaryDirectory();
        var file = directory["message"];
        await File.WriteAllTextAsync(file, Body, token);
        await File.WriteAllTextAsync(
            file + ".mail",
            $"From: writer@client.example\nTo: {To}\nSubject: by {peer}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{Body}",
            token);
        await using var sink = new SmtpSink { KeepsMessages = true };
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port), token);

        var (program, arguments) = command(server, To, file);
        var (code, output) = await ChildProcess.RunAsync(program, arguments, Limit, token, directory.Path, environment);
        Assert.True(code == 0, $"{peer} ended with {code}: {output}\nThe server's output ends:\n{server.Child.OutputTail}");
        await sink.UntilCopiesAsync(1, Limit, token);
        var message = Assert.Single(sink.Messages);
        Assert.Equal([To], message.Recipients);
        Assert.Equal("writer@client.example", message.Sender);
        Assert.Contains($"Subject: by {peer}\r\n", message.Text, StringComparison.Ordinal);
        Assert.Contains("\r\nFirst line\r\n.begins with a dot\r\n.\r\nGr\u00c3\u00bc\u00c3\u009fe\r\n", message.Text, StringComparison.Ordinal);

        (program, arguments) = command(server, Stranger, file);
        (code, output) = await ChildProcess.RunAsync(program, arguments, Limit, token, directory.Path, environment);
        Assert.True(code != 0, $"{peer} did not notice that {Stranger} was refused: {output}");
        Assert.True(
            output.Contains("5.1.1", StringComparison.Ordinal) || output.Contains("550", StringComparison.Ordinal),
            $"{peer} does not tell the refusal: {output}");
        Assert.Single(sink.Messages);
    }
}
