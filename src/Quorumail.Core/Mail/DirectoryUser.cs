namespace Quorumail.Core.Mail;

/// <summary>A user with a mailbox here.</summary>
/// <param name="Name">Login name, and name of the mailbox.</param>
/// <param name="PasswordHash">Written form of the password's hash; empty if the user can't log in.</param>
/// <param name="Addresses">Whose mail goes to the mailbox and that the user may send from; if empty, name@ each local domain.</param>
public sealed record DirectoryUser(string Name, string PasswordHash, IReadOnlyList<string> Addresses);
