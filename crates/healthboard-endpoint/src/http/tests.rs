mod answers;
mod corpus;
mod hygiene;
mod limits;
mod openapi;
mod pages;
mod routes;
