using System.Security.Cryptography;
using System.Text;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Core.Smtp.Authentication;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Tests.Smtp;

/// <summary>Logging in over a real connection.</summary>
public sealed class LoginTests
{
    [Fact]
    public async Task A_user_logs_in_by_SCRAM_and_sends()
    {
        await using var server = await SmtpTestServer.StartAsync(SmtpRole.Submission, hasCertificate: true, implicitTls: true);
        using var client = await ReadyAsync(server);
        Assert.StartsWith("334 ", await ScramAsync(client, "secret"), StringComparison.Ordinal);
        Assert.StartsWith("235 2.7.0", await client.AskAsync(string.Empty), StringComparison.Ordinal);
        Assert.StartsWith("250", await client.AskAsync("MAIL FROM:<joe@here.test>"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PLAIN")]
    [InlineData("LOGIN")]
    [InlineData("SCRAM-SHA-256")]
    public async Task A_wrong_password_costs_a_pause_with_every_mechanism(string mechanism)
    {
        var pause = TimeSpan.FromSeconds(20);
        await using var server = await SmtpTestServer.StartAsync(
            SmtpRole.Submission, hasCertificate: true, implicitTls: true, authenticationPause: pause);
        using var client = await ReadyAsync(server);
        var started = server.Time.GetUtcNow();
        var asking = mechanism switch
        {
            "PLAIN" => client.AskAsync("AUTH PLAIN " + Base64("\0joe\0wrong")),
            "LOGIN" => LoginAsync(client),
            _ => ScramAsync(client, "wrong"),
        };
        Assert.StartsWith("535 5.7.8", await server.AdvanceUntilAsync(asking, TimeSpan.FromSeconds(1)), StringComparison.Ordinal);
        Assert.True(server.Time.GetUtcNow() - started >= pause, "the answer came before the pause was over");
    }

    [Fact]
    public void A_user_who_does_not_exist_has_as_many_iterations_as_most_who_do()
    {
        List<DirectoryUser> users = [User("a", 5000), User("b", 6000), User("c", 6000), User("d", PasswordHash.IterationsMin)];
        var errors = new List<string>();
        using var passwords = new PasswordVerifier(new RecipientDirectory(["here.test"], [], users, new Dictionary<string, IReadOnlyList<string>>(), errors));
        Assert.Empty(errors);
        Assert.Equal(6000, passwords.HashOf("nobody").Iterations);
        Assert.Equal(5000, passwords.HashOf("a").Iterations);

        static DirectoryUser User(string name, int iterations) =>
            new(name, PasswordHash.Create("secret", "0123456789abcdef"u8, iterations).ToString(), [$"{name}@here.test"]);
    }

    private static async Task<string> LoginAsync(SmtpTestClient client)
    {
        await client.AskAsync("AUTH LOGIN " + Base64("joe"));
        return await client.AskAsync(Base64("wrong"));
    }

    private static async Task<string> ScramAsync(SmtpTestClient client, string password)
    {
        const string First = "n=joe,r=clientnonce";
        var challenge = Encoding.UTF8.GetString(Convert.FromBase64String((await client.AskAsync("AUTH SCRAM-SHA-256 " + Base64("n,," + First)))[4..]));
        var values = challenge.Split(',').ToDictionary(word => word[0], word => word[2..]);
        var final = $"c=biws,r={values['r']}";
        var salted = Rfc2898DeriveBytes.Pbkdf2(
            password, Convert.FromBase64String(values['s']), int.Parse(values['i'], System.Globalization.CultureInfo.InvariantCulture), HashAlgorithmName.SHA256, 32);
        var key = HMACSHA256.HashData(salted, "Client Key"u8);
        var signature = HMACSHA256.HashData(SHA256.HashData(key), Encoding.UTF8.GetBytes($"{First},{challenge},{final}"));
        var proof = key.Zip(signature, (a, b) => (byte)(a ^ b)).ToArray();
        return await client.AskAsync(Base64($"{final},p={Convert.ToBase64String(proof)}"));
    }

    private static async Task<SmtpTestClient> ReadyAsync(SmtpTestServer server)
    {
        var client = await server.ConnectAsync();
        await client.StartTlsAsync();
        await client.ReplyAsync();
        await client.AskAsync("EHLO client.test");
        return client;
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.ASCII.GetBytes(text));
}
